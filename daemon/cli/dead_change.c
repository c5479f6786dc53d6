/* weft dead retry and weft dead delete: what becomes of dead letters. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "context/macros.h"
#include "daemon/cli/command.h"
#include "daemon/cli/dead.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/stream.h"

/* Letters a script, which holds up Redis for as long. */
#define CHUNK "100"

/* ---- Which one ---- */

/* The newest dead letter of a job. */
struct dead_letter {
    const struct queue_keys *keys; /* of its queue; borrowed from the session */
    char entry[JOB_ENTRY_SIZE];
};

static int report_done(const char *words, const char *id, const struct dead_letter *letter, bool json)
{
    const char *queue = letter->keys->queue;

    if (!json) {
        printf("%s %s in queue %s\n", words, id, queue);
        return EX_OK;
    }
    return print_json(json_pack("{s:s, s:s}", "id", id, "queue", queue)) < 0 ? problem_report_memory() : EX_OK;
}

static int find_letter(struct session *session, const char *id, struct dead_letter *ret_letter)
{
    struct dead_letter letter = {0};

    for (size_t i = 0; i < session->queue_count; i++) {
        const struct queue_keys *keys = &session->queues[i];
        struct job_search search = {.id = id};

        if (stream_walk(session, keys->names[QUEUE_KEY_DEAD], STREAM_NEWEST_FIRST, SIZE_MAX, job_search_visit,
                        &search) == STREAM_FAILED)
            return EX_UNAVAILABLE;
        if (!search.entry[0])
            continue;
        if (letter.keys)
            return problem_report(
                EX_USAGE,
                "there is a dead letter of a job \"%s\" in queue %s and another in queue %s; choose one with -q", id,
                letter.keys->queue, keys->queue);
        letter.keys = keys;
        memcpy(letter.entry, search.entry, sizeof(letter.entry));
    }
    if (!letter.keys)
        return dead_report_missing(id);
    *ret_letter = letter;
    return EX_OK;
}

/* ---- Retrying ---- */

/* Retries the letters from `first` to `last`, one chunk of them. */
static int retry(struct session *session, const struct queue_keys *keys, const char *first, const char *last,
                 long long *ret_count)
{
    const char *arguments[] = {first, last, CHUNK};
    SESSION_REPLY *reply = session_call_script(session, REDIS_REPLY_INTEGER, &queue_script_revive, keys, arguments,
                                               NULL, ELEMENTS(arguments));

    if (!reply)
        return EX_UNAVAILABLE;
    *ret_count = reply->integer;
    return EX_OK;
}

static int retry_one(struct session *session, const char *id, bool json)
{
    struct dead_letter letter;
    long long count = 0;
    int status = find_letter(session, id, &letter);

    if (status == EX_OK)
        status = retry(session, letter.keys, letter.entry, letter.entry, &count);
    if (status != EX_OK)
        return status;
    if (count == 0)
        return dead_report_missing(id);
    return report_done("retried", id, &letter, json);
}

static bool note_entry(const struct stream_entry *entry, void *user)
{
    snprintf(user, JOB_ENTRY_SIZE, "%s", entry->id);
    return true;
}

/* Those that are there now: a job that dies again meanwhile is not retried without end. */
static int retry_queue(struct session *session, const struct queue_keys *keys, long long *ret_count)
{
    char last[JOB_ENTRY_SIZE] = "";
    long long count = 0, more = 0;
    int status;

    if (stream_walk(session, keys->names[QUEUE_KEY_DEAD], STREAM_NEWEST_FIRST, 1, note_entry, last) == STREAM_FAILED)
        return EX_UNAVAILABLE;
    if (last[0]) {
        do {
            status = retry(session, keys, "-", last, &more);
            if (status != EX_OK)
                return status;
            count += more;
        } while (more > 0);
    }
    *ret_count = count;
    return EX_OK;
}

static int retry_all(struct session *session, bool json)
{
    long long sum = 0;

    for (size_t i = 0; i < session->queue_count; i++) {
        long long count;
        int status = retry_queue(session, &session->queues[i], &count);

        if (status != EX_OK)
            return status;
        const char *queue = session->queues[i].queue;

        if (json && print_json(json_pack("{s:s, s:I}", "queue", queue, "retried", (json_int_t)count)) < 0)
            return problem_report_memory();
        if (!json && count > 0)
            printf("retried %lld dead letter%s of queue %s\n", count, count == 1 ? "" : "s", queue);
        sum += count;
    }
    if (sum == 0 && !json)
        puts("No dead letters.");
    return EX_OK;
}

int dead_retry_run(const struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const char *id = options->word_count > 0 ? options->words[0] : NULL;
    struct session session;
    int status = EX_OK;

    if (!id == !options->all)
        status = problem_report_usage("dead retry", "%s",
                                      id ? "an ID and --all are one too many" : "ID or --all is missing");
    else if (id)
        status = job_id_check("dead retry", id);
    if (status == EX_OK)
        status = session_open(&session, invocation->config, options->queue);
    if (status != EX_OK)
        return status;
    status = id ? retry_one(&session, id, options->json) : retry_all(&session, options->json);
    session_close(&session);
    return status;
}

/* ---- Deleting ---- */

int dead_delete_run(const struct invocation *invocation)
{
    const char *id = invocation->options.words[0];
    struct dead_letter letter;
    int status = find_letter(invocation->session, id, &letter);

    if (status != EX_OK)
        return status;
    const char *entry = letter.entry;
    SESSION_REPLY *reply = session_call_script(invocation->session, REDIS_REPLY_INTEGER, &queue_script_erase,
                                               letter.keys, &entry, NULL, 1);

    if (!reply)
        return EX_UNAVAILABLE;
    if (reply->integer == 0)
        return dead_report_missing(id);
    return report_done("deleted the dead letter of", id, &letter, invocation->options.json);
}
