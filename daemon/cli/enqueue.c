/* weft enqueue: checks a message as the worker is going to, and adds it to its queue's stream. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "context/cleanup.h"
#include "context/name.h"
#include "context/time.h"
#include "daemon/cli/command.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/session.h"
#include "queue/message/message.h"
#include "queue/scripts/scripts.h"

#define DEFAULT_QUEUE "default"

/* A message on its way. All but the payload from stdin is borrowed. */
struct draft {
    const struct config *config;
    struct message_field *fields;
    size_t count;
    char *input; /* what stdin held; NULL: nothing was read */
    char id[REJECTION_NAME_SIZE];
    bool own_id;  /* else it is going to be that of the entry */
    char *unique; /* NULL: none */
    int64_t unique_for_ms;
};

/* ---- The payload ---- */

/* Reads no more than it takes to know that it is too much. */
static int read_input(struct draft *draft, size_t *ret_size)
{
    size_t limit = (size_t)draft->config->limits.payload, size = 0, capacity = 0;
    int status = EX_OK;

    while (status == EX_OK && size <= limit) {
        if (size == capacity) {
            capacity = capacity ? 2 * capacity : 64 * 1024;
            char *grown = realloc(draft->input, capacity);

            if (!grown)
                return problem_report_memory();
            draft->input = grown;
        }
        ssize_t got = read(STDIN_FILENO, draft->input + size, capacity - size);

        if (got == 0) {
            *ret_size = size;
            return EX_OK;
        }
        if (got > 0)
            size += (size_t)got;
        else if (errno != EINTR)
            status = problem_report(EX_IOERR, "the payload cannot be read from stdin: %s", strerror(errno));
    }
    if (status == EX_OK)
        status = problem_report(
            EX_USAGE, "the payload on stdin takes more than %zu bytes; send less or raise limits.payload", limit);
    return status;
}

/* ---- The fields ---- */

static void add_field(struct draft *draft, const char *name, size_t name_size, const char *value, size_t value_size)
{
    draft->fields[draft->count++] = (struct message_field){name, name_size, value, value_size};
}

static void add_text(struct draft *draft, const char *name, const char *value)
{
    add_field(draft, name, strlen(name), value, strlen(value));
}

static int add_payload(struct draft *draft, const char *payload)
{
    size_t size = 0;

    if (!payload)
        return EX_OK;
    if (strcmp(payload, "-") != 0) {
        add_text(draft, "payload", payload);
        return EX_OK;
    }
    int status = read_input(draft, &size);
    if (status == EX_OK)
        add_field(draft, "payload", strlen("payload"), draft->input, size);
    return status;
}

static int add_fields(struct draft *draft, const struct options *options)
{
    /* The words, of which the first is the type, and what options say. */
    draft->fields = calloc(options->word_count + 2, sizeof(*draft->fields));
    if (!draft->fields)
        return problem_report_memory();
    add_text(draft, "type", options->words[0]);
    int status = add_payload(draft, options->payload);
    if (options->delay)
        add_text(draft, "delay", options->delay);
    for (size_t i = 1; i < options->word_count && status == EX_OK; i++) {
        const char *word = options->words[i], *equals = strchr(word, '=');

        if (!equals)
            return problem_report_usage("enqueue", "%s is not NAME=VALUE", rejection_quote(word, strlen(word)).text);
        /* The worker would take some of them for what weft itself has written on a retry, and drop the others. */
        if (name_is_own(word, strlen(word)))
            return problem_report(EX_USAGE,
                                  "the field name %s begins with \"" NAME_OWN_PREFIX "\", as only weft's own do",
                                  rejection_quote(word, (size_t)(equals - word)).text);
        add_field(draft, word, (size_t)(equals - word), equals + 1, strlen(equals + 1));
    }
    return status;
}

/* ---- The check ---- */

static bool type_known(const char *type, void *user)
{
    return config_find_job(user, type) != NULL;
}

static int check(struct draft *draft, const char *queue)
{
    const struct config *config = draft->config;
    /* Where no job type is configured there is no worker either: this is a host that only enqueues. */
    struct message_limits limits = {
        .payload_max = config->limits.payload,
        .type_known = config->job_count ? type_known : NULL,
        .user = (void *)config,
    };
    struct message_rejection rejection;
    struct job *job;
    char entry[32];
    int64_t now_ms = time_unix_ms();

    snprintf(entry, sizeof(entry), "%lld-0", (long long)now_ms);
    int r = message_parse(queue, entry, draft->fields, draft->count, now_ms, &limits, &job, &rejection);
    if (r == -EBADMSG)
        return problem_report(EX_USAGE, "%s", rejection.reason);
    if (r < 0)
        return problem_report_memory();
    if (job->bad_traceparent)
        (void)problem_report(EX_OK, "traceparent is not a valid W3C trace parent and is going to be ignored");
    draft->own_id = strcmp(job->id, entry) != 0;
    snprintf(draft->id, sizeof(draft->id), "%s", job->id);
    draft->unique = job->unique ? strdup(job->unique) : NULL;
    draft->unique_for_ms = job->unique_for_ms;
    int status = job->unique && !draft->unique ? problem_report_memory() : EX_OK;
    (void)job_free(job);
    return status;
}

/* ---- Sending ---- */

/* The words of a command before the fields: XADD KEY *, or what enqueue.lua wants to know. */
enum { HEAD_WORDS = 3 };

static redisReply *add_entry(struct session *session, const struct draft *draft)
{
    const struct queue_keys *keys = &session->queues[0];
    size_t count = HEAD_WORDS + 2 * draft->count;
    CLEANUP_FREE const char **words = calloc(count, sizeof(*words));
    CLEANUP_FREE size_t *sizes = calloc(count, sizeof(*sizes));
    char unique_for[24];
    const char *plain[HEAD_WORDS] = {"XADD", keys->names[QUEUE_KEY_STREAM], "*"};
    const char *unique[HEAD_WORDS] = {draft->unique, unique_for, draft->own_id ? draft->id : ""};

    if (!words || !sizes) {
        (void)problem_report_memory();
        return NULL;
    }
    (void)snprintf(unique_for, sizeof(unique_for), "%" PRId64, draft->unique_for_ms);
    for (size_t i = 0; i < HEAD_WORDS; i++) {
        words[i] = draft->unique ? unique[i] : plain[i];
        sizes[i] = strlen(words[i]);
    }
    for (size_t i = 0; i < draft->count; i++) {
        size_t at = HEAD_WORDS + 2 * i;

        words[at] = draft->fields[i].name;
        sizes[at] = draft->fields[i].name_size;
        words[at + 1] = draft->fields[i].value;
        sizes[at + 1] = draft->fields[i].value_size;
    }
    if (draft->unique)
        return session_call_script(session, REDIS_REPLY_ARRAY, &queue_script_enqueue, keys, words, sizes, count);
    return session_ask_words(session, REDIS_REPLY_STRING, (int)count, words, sizes);
}

/* ---- The command ---- */

static int send_message(struct session *session, const struct draft *draft, bool json)
{
    SESSION_REPLY *reply = add_entry(session, draft);

    if (!reply)
        return EX_UNAVAILABLE;
    const struct message_field *type = &draft->fields[0];
    const char *entry = draft->unique ? reply->element[0]->str : reply->str, *id = draft->own_id ? draft->id : entry;
    const char *first = draft->unique && reply->element[1]->str[0] ? reply->element[1]->str : NULL;

    if (!json) {
        puts(id);
        if (first)
            (void)problem_report(EX_OK, "job %s has the unique key %s, so this one will end as its duplicate", first,
                                 draft->unique);
        return EX_OK;
    }
    json_t *receipt = json_pack("{s:s, s:s, s:s%, s:s, s:s*}", "id", id, "queue", session->queues[0].queue, "type",
                                type->value, type->value_size, "entry", entry, "duplicate_of", first);

    return print_json(receipt) < 0 ? problem_report_memory() : EX_OK;
}

int enqueue_run(const struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const struct config *config = invocation->config;
    /* Without a word about it: `default`, or the only one there is. */
    const char *only = config->queue_count == 1 ? config->queues[0].name : DEFAULT_QUEUE;
    const char *queue = options->queue ? options->queue : only;
    struct draft draft = {.config = config};
    struct session session;
    int status = add_fields(&draft, options);

    if (status == EX_OK)
        status = check(&draft, queue);
    if (status == EX_OK)
        status = session_open(&session, invocation->config, queue);
    if (status == EX_OK) {
        status = send_message(&session, &draft, options->json);
        session_close(&session);
    }
    free(draft.fields);
    free(draft.input);
    free(draft.unique);
    return status;
}
