#include "daemon/cli/ps_collect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>

#include "context/macros.h"
#include "context/time.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/ps_answer.h"
#include "daemon/cli/ps_show.h"
#include "queue/consumer/control.h"
#include "queue/consumer_name.h"
#include "queue/message/rejection.h"

/* Workers that are about to end are no consumers any more, so all are given the time that an answer takes. */
enum { ANSWER_MIN_MS = 350, ANSWER_MAX_MS = 2000, LOOK_MS = 25 };

/* Jobs of a worker that does not answer. */
#define HOLDINGS_MAX ((size_t)500)

#define NONCE_SIZE  17
#define WORKER_SIZE 320
#define ENTRY_SIZE  (2 * 20 + 2) /* of an entry's ID with its NUL */

struct collection {
    struct session *session;
    const char *id;
    json_t *jobs;
    char nonce[NONCE_SIZE];
    char inquiry[INQUIRY_SIZE];
    redisReply **consumers; /* of each queue: the names of those that are to answer */
};

/* ---- Asking ---- */

/* ---- Waiting ---- */

/* Supervisors are consumers of what Redis refuses to take from them; they run no jobs. */
static bool is_worker(const redisReply *name)
{
    struct consumer_identity identity;

    return name->str && (!consumer_read(name->str, &identity) || identity.number > 0);
}

/* `answers` is a list of consumers, or, with a `step` of 2, of consumers and their answers. */
static bool has_answered(const redisReply *answers, size_t step, const redisReply *name)
{
    for (size_t i = 0; i < answers->elements; i += step)
        if (answers->element[i]->str && strcmp(answers->element[i]->str, name->str) == 0)
            return true;
    return false;
}

static int ask_all(struct collection *collection)
{
    char kept[24], max[24];
    const char *const arguments[] = {collection->inquiry, kept, max};

    (void)snprintf(kept, sizeof(kept), "%d", INQUIRY_KEPT_MS);
    (void)snprintf(max, sizeof(max), "%d", INQUIRIES_MAX);
    for (size_t queue = 0; queue < collection->session->queue_count; queue++) {
        collection->consumers[queue] =
            session_call_script(collection->session, REDIS_REPLY_ARRAY, &queue_script_inquire,
                                &collection->session->queues[queue], arguments, NULL, 3);
        if (!collection->consumers[queue])
            return EX_UNAVAILABLE;
    }
    return EX_OK;
}

static int wait_for_answers(struct collection *collection)
{
    int64_t begun_ms = time_steady_ms();

    (void)nanosleep(&(struct timespec){.tv_nsec = ANSWER_MIN_MS * 1000000L}, NULL);
    for (size_t queue = 0; queue < collection->session->queue_count && time_steady_ms() - begun_ms < ANSWER_MAX_MS;) {
        SESSION_REPLY *answers = session_ask(collection->session, REDIS_REPLY_ARRAY, "HKEYS %s:%s",
                                             collection->session->queues[queue].names[QUEUE_KEY_PS], collection->nonce);
        const redisReply *consumers = collection->consumers[queue];
        bool complete = true;

        if (!answers)
            return EX_UNAVAILABLE;
        for (size_t i = 0; i < consumers->elements && complete; i++)
            complete = !is_worker(consumers->element[i]) || has_answered(answers, 1, consumers->element[i]);
        if (complete)
            queue++;
        else
            (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
    return EX_OK;
}

/* ---- Taking ---- */

/* The name of a consumer, for a sentence. */
static void write_worker(const char *consumer, char buffer[static WORKER_SIZE])
{
    struct consumer_identity identity;

    if (consumer_read(consumer, &identity))
        (void)snprintf(buffer, WORKER_SIZE, "%s, process %d", rejection_quote(consumer, identity.node_size).text,
                       (int)identity.worker);
    else
        (void)snprintf(buffer, WORKER_SIZE, "%s", rejection_quote(consumer, strlen(consumer)).text);
}

static int take_answer(struct collection *collection, const redisReply *name, const redisReply *answer)
{
    char worker[WORKER_SIZE];
    int64_t left_out = 0;
    int r = answer->str ? ps_answer_read(answer->str, (size_t)answer->len, collection->jobs, &left_out) : -EBADMSG;

    write_worker(name->str ? name->str : "", worker);
    if (r == -ENOMEM)
        return problem_report_memory();
    if (r < 0)
        (void)problem_report(EX_OK, "the answer of worker %s cannot be read; is it of another version of weft?",
                             worker);
    if (left_out > 0)
        (void)problem_report(EX_OK, "worker %s has %" PRId64 " more jobs than are shown", worker, left_out);
    return EX_OK;
}

/* It reads all queues, and none of them any more: that is said once. */
static bool is_reported(const struct collection *collection, size_t queue, const char *consumer)
{
    for (size_t before = 0; before < queue; before++)
        for (size_t i = 0; i < collection->consumers[before]->elements; i++) {
            const redisReply *name = collection->consumers[before]->element[i];

            if (name->str && strcmp(name->str, consumer) == 0)
                return true;
        }
    return false;
}

/* One slice after the other, since Redis serves nobody else meanwhile. */
static int substitute(struct collection *collection, size_t queue, const char *consumer)
{
    const struct queue_keys *keys = &collection->session->queues[queue];
    struct ps_silence silence = {.lease_ms = collection->session->config->queue_options.lease_ms,
                                 .consumer = consumer,
                                 .queue = keys->queue,
                                 .id = collection->id};
    bool reported = is_reported(collection, queue, consumer);
    char first[ENTRY_SIZE] = "-", max[24];

    for (size_t left = HOLDINGS_MAX; first[0] && left > 0;) {
        const char *const arguments[] = {consumer, max, first};

        (void)snprintf(max, sizeof(max), "%zu", left);
        SESSION_REPLY *reply = session_call_script(collection->session, REDIS_REPLY_ARRAY, &queue_script_holdings, keys,
                                                   arguments, NULL, ELEMENTS(arguments));
        if (!reply)
            return EX_UNAVAILABLE;
        int r = ps_answer_substitute(&silence, reply, collection->jobs);
        if (r == -ENOMEM)
            return problem_report_memory();
        if (r < 0)
            break;
        if (silence.silent_ms >= 0 && !reported) {
            char worker[WORKER_SIZE], duration[PS_DURATION_SIZE];

            write_worker(consumer, worker);
            ps_show_duration(silence.silent_ms, duration);
            (void)problem_report(EX_OK, "worker %s %s; Redis has last heard of it %s ago", worker,
                                 silence.gone ? "is gone, and no node has found that out yet" : "does not answer",
                                 duration);
        }
        reported = true;
        left -= reply->element[1]->elements < left ? reply->element[1]->elements : left;
        (void)snprintf(first, sizeof(first), "%s", reply->element[2]->str);
    }
    return EX_OK;
}

/* ---- All of it ---- */

/* Redis would forget it by itself. */
static void forget(const struct collection *collection)
{
    for (size_t i = 0; i < collection->session->queue_count; i++) {
        const char *key = collection->session->queues[i].names[QUEUE_KEY_PS];
        SESSION_REPLY *asked =
            session_ask(collection->session, REDIS_REPLY_INTEGER, "ZREM %s %s", key, collection->inquiry);
        if (!asked)
            return;
        SESSION_REPLY *answered =
            session_ask(collection->session, REDIS_REPLY_INTEGER, "UNLINK %s:%s", key, collection->nonce);
        if (!answered)
            return;
    }
}

/* What workers of a queue have answered, and what Redis knows of those that have not. */
static int take_answers(struct collection *collection, size_t queue)
{
    SESSION_REPLY *answers = session_ask(collection->session, REDIS_REPLY_ARRAY, "HGETALL %s:%s",
                                         collection->session->queues[queue].names[QUEUE_KEY_PS], collection->nonce);
    const redisReply *consumers = collection->consumers[queue];
    int status = answers ? EX_OK : EX_UNAVAILABLE;

    for (size_t i = 0; status == EX_OK && i + 1 < answers->elements; i += 2)
        status = take_answer(collection, answers->element[i], answers->element[i + 1]);
    for (size_t i = 0; i < consumers->elements && status == EX_OK; i++)
        if (is_worker(consumers->element[i]) && !has_answered(answers, 2, consumers->element[i]))
            status = substitute(collection, queue, consumers->element[i]->str);
    return status;
}

int ps_collect(struct session *session, const char *id, json_t *jobs)
{
    struct collection collection = {.session = session, .id = id, .jobs = jobs};
    uint64_t nonce;

    if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
        return problem_report(EX_OSERR, "there are no random numbers: %s", strerror(errno));
    (void)snprintf(collection.nonce, sizeof(collection.nonce), "%016" PRIx64, nonce);
    (void)snprintf(collection.inquiry, sizeof(collection.inquiry), "%s%s%s", collection.nonce, id ? " " : "",
                   id ? id : "");
    collection.consumers = calloc(session->queue_count, sizeof(*collection.consumers));
    if (!collection.consumers)
        return problem_report_memory();
    int status = ask_all(&collection);
    if (status == EX_OK)
        status = wait_for_answers(&collection);
    for (size_t i = 0; i < session->queue_count && status == EX_OK; i++)
        status = take_answers(&collection, i);
    if (status == EX_OK)
        forget(&collection);
    for (size_t i = 0; i < session->queue_count; i++)
        session_free_reply(&collection.consumers[i]);
    free(collection.consumers);
    return status;
}
