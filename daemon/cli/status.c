/* weft status: the report of a job, or where in its queue it stands. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "context/macros.h"
#include "context/time.h"
#include "daemon/cli/command.h"
#include "daemon/cli/holder.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/session.h"
#include "daemon/cli/stream.h"
#include "queue/consumer_name.h"
#include "queue/entry.h"
#include "queue/message/instruction.h"
#include "queue/message/units.h"

/* How many entries of each queue are looked through for a job that has an ID of its own. */
#define ENTRIES_MAX 1000000

/* What a report may have beside the fields in Redis: `id`, `queue`, `due_at` and `worker`. */
enum { PAIRS_OWN = 4 };

/* UNSEEN: missing in as much of the queue as was looked through. FAILED: could not be asked for, which has been
 * reported. */
enum outcome { FOUND, MISSING, UNSEEN, FAILED, NO_MEMORY };

struct question {
    struct session *session;
    const char *id;
    bool json;
};

/* ---- Showing ---- */

static bool is_named(const struct print_pair *pair, const char *name)
{
    return pair->name_size == strlen(name) && memcmp(pair->name, name, pair->name_size) == 0;
}

/* Fields of a report that are numbers. */
static bool is_number(const struct print_pair *pair, int64_t *ret_number)
{
    static const char *const names[] = {"attempt", "duration_us", "subtasks", "subtasks_failed"};

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (is_named(pair, names[i]))
            return units_parse_integer(pair->value, pair->value_size, 0, INT64_MAX, ret_number) == 0;
    }
    return false;
}

static int print_report_json(const struct print_pair *pairs, size_t count)
{
    json_t *object = json_object();
    int r = object ? 0 : -ENOMEM;

    for (size_t i = 0; i < count && r == 0; i++) {
        int64_t number;
        json_t *value =
            is_number(&pairs[i], &number) ? json_integer(number) : print_make_json(pairs[i].value, pairs[i].value_size);

        r = print_add_json(object, pairs[i].name, pairs[i].name_size, value);
    }
    return print_made_json(object, r);
}

static enum outcome print_report(const struct question *question, const struct print_pair *pairs, size_t count)
{
    if (question->json)
        return print_report_json(pairs, count) < 0 ? NO_MEMORY : FOUND;
    print_pairs(pairs, count);
    return FOUND;
}

static struct print_pair pair_of_text(const char *name, const char *value)
{
    return (struct print_pair){name, strlen(name), value, strlen(value)};
}

/* ---- Workers ---- */

/* Whether the worker that runs a job is gone: some worker of its node is that still holds jobs of the queue, and none
 * of the node that lives does. Gives FOUND or FAILED. */
static enum outcome is_stranded(const struct question *question, const struct queue_keys *keys, const char *node,
                                size_t node_size, bool *ret_stranded)
{
    SESSION_REPLY *reply = holders_ask(question->session, keys->names[QUEUE_KEY_STREAM], keys->sizes[QUEUE_KEY_STREAM]);
    bool gone = false, lives = false;
    struct holder holder;

    if (!reply)
        return FAILED;
    for (size_t i = 0; holder_read(question->session, reply, i, &holder); i++) {
        struct consumer_identity identity;

        if (!holder.consumer || holder.jobs == 0 || !consumer_read(holder.consumer, &identity) ||
            identity.node_size != node_size || memcmp(holder.consumer, node, node_size) != 0)
            continue;
        gone = gone || holder.gone;
        lives = lives || !holder.gone;
    }
    *ret_stranded = gone && !lives;
    return FOUND;
}

static struct print_pair tell_stranded(const struct queue_keys *keys)
{
    (void)problem_report(EX_OK,
                         "the worker of this job is gone; the job runs again when a node that reads queue \"%s\" "
                         "finds that out",
                         keys->queue);
    return pair_of_text("worker", "gone");
}

/* ---- In the reports ---- */

static size_t find_place(const struct print_pair *pair)
{
    static const char *const order[] = {"id",          "queue",       "state",          "type",   "attempt",
                                        "node",        "worker",      "enqueued_at",    "due_at", "started_at",
                                        "finished_at", "duration_us", "result",         "error",  "duplicate_of",
                                        "progress",    "subtasks",    "subtasks_failed"};
    size_t place = 0;

    while (place < ELEMENTS(order) && !is_named(pair, order[place]))
        place++;
    return place;
}

/* Those that are not known come last, by their names. */
static int compare_pairs(const void *one, const void *other)
{
    const struct print_pair *first = one, *second = other;
    size_t first_place = find_place(first), second_place = find_place(second);
    size_t common = first->name_size < second->name_size ? first->name_size : second->name_size;

    if (first_place != second_place)
        return first_place < second_place ? -1 : 1;
    int difference = memcmp(first->name, second->name, common);

    return difference != 0 ? difference
                           : (first->name_size > second->name_size) - (first->name_size < second->name_size);
}

static bool has_value(const struct print_pair *pair, const char *value)
{
    return pair->value_size == strlen(value) && memcmp(pair->value, value, pair->value_size) == 0;
}

static bool is_delayed(const struct print_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_named(&pairs[i], "state"))
            return has_value(&pairs[i], "delayed") || has_value(&pairs[i], "retrying");
    return false;
}

/* When a job is due that waits for that; NULL: it is not known to wait any more. */
static const char *find_due(const struct question *question, const struct queue_keys *keys, struct time_text *clock)
{
    int64_t due_ms;
    SESSION_REPLY *reply = session_ask(question->session, REDIS_REPLY_ARRAY, "ZMSCORE %s %s",
                                       keys->names[QUEUE_KEY_DELAYED], question->id);

    if (!reply || reply->elements != 1 || reply->element[0]->type != REDIS_REPLY_STRING ||
        units_parse_integer(reply->element[0]->str, reply->element[0]->len, 0, TIME_UNIX_MAX_MS, &due_ms) < 0)
        return NULL;
    return time_format_ms(clock, due_ms);
}

/* Adds to the report of a job that runs what is not in it. */
static enum outcome add_worker(const struct question *question, const struct queue_keys *keys, struct print_pair *pairs,
                               size_t *count)
{
    const struct print_pair *node = NULL;
    bool running = false, stranded = false;

    for (size_t i = 0; i < *count; i++) {
        if (is_named(&pairs[i], "node"))
            node = &pairs[i];
        running = running || (is_named(&pairs[i], "state") && has_value(&pairs[i], "running"));
    }
    enum outcome outcome =
        running && node ? is_stranded(question, keys, node->value, node->value_size, &stranded) : FOUND;
    if (stranded)
        pairs[(*count)++] = tell_stranded(keys);
    return outcome;
}

static enum outcome show_report(const struct question *question, const struct queue_keys *keys)
{
    SESSION_REPLY *reply = session_ask(question->session, REDIS_REPLY_ARRAY, "HGETALL %s:job:%s",
                                       keys->names[QUEUE_KEY_STREAM], question->id);

    if (!reply)
        return FAILED;
    if (reply->elements < 2)
        return MISSING;
    struct print_pair *pairs = calloc(PAIRS_OWN + reply->elements / 2, sizeof(*pairs));
    struct time_text clock;
    size_t count = 0;

    if (!pairs)
        return NO_MEMORY;
    pairs[count++] = pair_of_text("id", question->id);
    pairs[count++] = pair_of_text("queue", keys->queue);
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *value = reply->element[i + 1];

        pairs[count++] = (struct print_pair){name->str, (size_t)name->len, value->str, (size_t)value->len};
    }
    const char *due = is_delayed(pairs, count) ? find_due(question, keys, &clock) : NULL;
    if (due)
        pairs[count++] = pair_of_text("due_at", due);
    enum outcome outcome = add_worker(question, keys, pairs, &count);
    if (outcome == FOUND) {
        qsort(pairs, count, sizeof(*pairs), compare_pairs);
        outcome = print_report(question, pairs, count);
    }
    free(pairs);
    return outcome;
}

/* ---- In the stream ---- */

/* A job that is in flight is in the group's list of pending ones. */
static enum outcome find_state(struct session *session, const struct queue_keys *keys, const char *entry,
                               const char **ret_state, bool *ret_stranded)
{
    SESSION_REPLY *reply = session_ask_or(session, REDIS_REPLY_ARRAY, "NOGROUP", "XPENDING %s " QUEUE_GROUP " %s %s 1",
                                          keys->names[QUEUE_KEY_STREAM], entry, entry);

    if (!reply)
        return FAILED;
    *ret_state = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 ? "running" : "queued";
    *ret_stranded = false;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || reply->element[0]->elements != 4 ||
        !reply->element[0]->element[1]->str)
        return FOUND;
    const char *consumer = reply->element[0]->element[1]->str;
    SESSION_REPLY *holders = holders_ask(session, keys->names[QUEUE_KEY_STREAM], keys->sizes[QUEUE_KEY_STREAM]);
    struct holder holder;

    if (!holders)
        return FAILED;
    for (size_t i = 0; holder_read(session, holders, i, &holder); i++)
        *ret_stranded = *ret_stranded || (holder.gone && strcmp(holder.consumer, consumer) == 0);
    return FOUND;
}

static enum outcome show_entry(const struct question *question, const struct queue_keys *keys,
                               const struct stream_entry *entry)
{
    const redisReply *type = stream_entry_find(entry, "type");
    const redisReply *charged = stream_entry_find(entry, "weft.attempt");
    const redisReply *first = stream_entry_find(entry, "weft.enqueued_at");
    int64_t attempts = 0, enqueued_ms = 0;
    struct time_text clock = {0};
    struct print_pair pairs[8];
    size_t count = 0;
    char attempt[24];
    const char *state;
    bool stranded;
    enum outcome outcome = find_state(question->session, keys, entry->id, &state, &stranded);

    if (outcome != FOUND)
        return outcome;
    /* The attempts that were charged, by what the entry says; else this is the first. */
    if (charged)
        (void)!units_parse_integer(charged->str, (size_t)charged->len, 0, INT32_MAX, &attempts);
    (void)!units_parse_integer(first ? first->str : entry->id, first ? (size_t)first->len : strcspn(entry->id, "-"), 0,
                               TIME_UNIX_MAX_MS, &enqueued_ms);
    snprintf(attempt, sizeof(attempt), "%" PRId64, attempts + 1);
    pairs[count++] = pair_of_text("id", question->id);
    pairs[count++] = pair_of_text("queue", keys->queue);
    pairs[count++] = pair_of_text("state", state);
    if (type)
        pairs[count++] = (struct print_pair){"type", strlen("type"), type->str, (size_t)type->len};
    pairs[count++] = pair_of_text("attempt", attempt);
    pairs[count++] = pair_of_text("enqueued_at", time_format_ms(&clock, enqueued_ms));
    if (stranded)
        pairs[count++] = tell_stranded(keys);
    return print_report(question, pairs, count);
}

/* A job without an ID of its own has that of its entry. */
static enum outcome show_entry_by_id(const struct question *question, const struct queue_keys *keys)
{
    struct stream_entry entry;
    struct entry_id parts;
    char text[48];

    /* Only what Redis takes for the ID of an entry is asked for. */
    if (entry_id_parse(question->id, &parts) < 0)
        return MISSING;
    snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, parts.ms, parts.sequence);
    if (strcmp(text, question->id) != 0)
        return MISSING;
    SESSION_REPLY *reply = session_ask(question->session, REDIS_REPLY_ARRAY, "XRANGE %s %s %s",
                                       keys->names[QUEUE_KEY_STREAM], question->id, question->id);
    if (!reply)
        return FAILED;
    if (reply->elements == 0 || !stream_entry_read(reply->element[0], &entry) || !job_id_is_of(question->id, &entry))
        return MISSING;
    return show_entry(question, keys, &entry);
}

struct search {
    const struct question *question;
    const struct queue_keys *keys;
    enum outcome outcome;
};

static bool visit_entry(const struct stream_entry *entry, void *user)
{
    struct search *search = user;

    if (!job_id_is_of(search->question->id, entry))
        return false;
    search->outcome = show_entry(search->question, search->keys, entry);
    return true;
}

static enum outcome search_stream(const struct question *question, const struct queue_keys *keys)
{
    struct search search = {.question = question, .keys = keys, .outcome = MISSING};

    switch (stream_walk(question->session, keys->names[QUEUE_KEY_STREAM], STREAM_OLDEST_FIRST, ENTRIES_MAX, visit_entry,
                        &search)) {
    case STREAM_FAILED:
        return FAILED;
    case STREAM_LIMITED:
        return UNSEEN;
    case STREAM_ENDED:
    case STREAM_STOPPED:
        break;
    }
    return search.outcome;
}

/* ---- The command ---- */

typedef enum outcome look(const struct question *question, const struct queue_keys *keys);

/* What is likely and cheap comes first. A job may be settled meanwhile, so the last look is for its report again. */
static look *const looks[] = {show_report, show_entry_by_id, search_stream, show_report};

static enum outcome look_everywhere(const struct question *question)
{
    const struct session *session = question->session;
    enum outcome outcome = MISSING;
    bool unseen = false;

    for (size_t i = 0; i < ELEMENTS(looks) && outcome == MISSING; i++) {
        for (size_t queue = 0; queue < session->queue_count && outcome == MISSING; queue++) {
            outcome = looks[i](question, &session->queues[queue]);
            unseen = unseen || outcome == UNSEEN;
            outcome = outcome == UNSEEN ? MISSING : outcome;
        }
    }
    return outcome == MISSING && unseen ? UNSEEN : outcome;
}

static int report_outcome(enum outcome outcome, const char *id)
{
    switch (outcome) {
    case FOUND:
        return EX_OK;
    case MISSING:
        return problem_report(
            1, "no job \"%s\" in the queues of this configuration; reports are kept for as long as keep: says", id);
    case UNSEEN:
        return problem_report(1, "no job \"%s\" among the reports and the oldest %d jobs of each queue", id,
                              ENTRIES_MAX);
    case FAILED:
        return EX_UNAVAILABLE;
    case NO_MEMORY:
        break;
    }
    return problem_report_memory();
}

int status_run(const struct invocation *invocation)
{
    const char *id = invocation->options.words[0];
    struct question question = {.session = invocation->session, .id = id, .json = invocation->options.json};

    return report_outcome(look_everywhere(&question), id);
}
