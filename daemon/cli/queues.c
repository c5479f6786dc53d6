/* weft queues: how much there is in each queue, asked in constant time, and in streams that no node reads. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "context/macros.h"
#include "context/time.h"
#include "daemon/cli/command.h"
#include "daemon/cli/holder.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/session.h"
#include "daemon/cli/table.h"
#include "daemon/config/suggest.h"
#include "daemon/config/text.h"

/* Keys that Redis goes through a command, and commands: each takes a fraction of a millisecond. */
#define SCAN_KEYS   "1000"
#define SCANS_MAX   10000
#define READ_MAX_MS 30000 /* as unread.lua has it */

enum { NOTE_INDENT = 4 };

struct counts {
    long long ready;
    long long in_flight;
    long long delayed;
    long long dead;
    long long stranded; /* of those in flight: held by workers that are gone */
};

/* A stream under the prefix. */
struct stream {
    char *key;
    size_t key_size;
    struct queue_keys keys; /* of the queue whose it is; all zero: it is no queue's */
};

/* All that there are: the configured ones first, in their order, then the others by name. */
struct streams {
    struct stream *items;
    size_t count;
    size_t capacity;
};

/* ---- Counting ---- */

static int count(struct session *session, const char *command, const char *key, size_t size, long long *ret_count)
{
    SESSION_REPLY *reply = session_ask(session, REDIS_REPLY_INTEGER, "%s %b", command, key, size);

    if (!reply)
        return -EIO;
    *ret_count = reply->integer;
    return 0;
}

/* A queue that no weftd has read yet has no group, and nothing in flight. */
static int count_in_flight(struct session *session, const struct stream *stream, struct counts *counts)
{
    SESSION_REPLY *reply = holders_ask(session, stream->key, stream->key_size);
    struct holder holder;

    if (!reply)
        return -EIO;
    for (size_t i = 0; holder_read(session, reply, i, &holder); i++) {
        counts->in_flight += holder.jobs;
        counts->stranded += holder.gone ? holder.jobs : 0;
    }
    return 0;
}

static int count_all(struct session *session, const struct stream *stream, struct counts *ret_counts)
{
    const struct queue_keys *keys = &stream->keys;
    struct counts counts = {0};
    long long entries;

    if (count(session, "XLEN", stream->key, stream->key_size, &entries) < 0 ||
        count_in_flight(session, stream, &counts) < 0)
        return -EIO;
    if (keys->queue &&
        (count(session, "ZCARD", keys->names[QUEUE_KEY_DELAYED], keys->sizes[QUEUE_KEY_DELAYED], &counts.delayed) < 0 ||
         count(session, "XLEN", keys->names[QUEUE_KEY_DEAD], keys->sizes[QUEUE_KEY_DEAD], &counts.dead) < 0))
        return -EIO;
    /* Jobs may have started between the two questions. */
    counts.ready = entries > counts.in_flight ? entries - counts.in_flight : 0;
    *ret_counts = counts;
    return 0;
}

/* ---- Finding ---- */

static void streams_done(struct streams *streams)
{
    for (size_t i = 0; i < streams->count; i++) {
        free((char *)streams->items[i].keys.queue);
        queue_keys_done(&streams->items[i].keys);
        free(streams->items[i].key);
    }
    free(streams->items);
}

/* Errors: -ENOMEM. */
static int add_stream(struct streams *streams, const char *key, size_t size)
{
    if (streams->count == streams->capacity) {
        size_t capacity = streams->capacity > 0 ? 2 * streams->capacity : 64;
        struct stream *items = reallocarray(streams->items, capacity, sizeof(*items));

        if (!items)
            return -ENOMEM;
        streams->items = items;
        streams->capacity = capacity;
    }
    char *copy = malloc(size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, key, size);
    copy[size] = '\0';
    streams->items[streams->count++] = (struct stream){.key = copy, .key_size = size};
    return 0;
}

/* Gives the name of the queue that a key belongs to, `PREFIX:{QUEUE}` or one with more behind that. */
static const char *queue_of(const char *prefix, const char *key, size_t key_size, size_t *ret_size, bool *ret_is_stream)
{
    size_t prefix_size = strlen(prefix);

    if (key_size < prefix_size + 4 || strlen(key) != key_size || key[prefix_size + 1] != '{')
        return NULL;
    const char *name = key + prefix_size + 2;
    *ret_size = strcspn(name, "{}");
    if (*ret_size == 0 || name[*ret_size] != '}')
        return NULL;
    *ret_is_stream = name[*ret_size + 1] == '\0';
    return name;
}

/* Makes the keys of the queue whose stream it is, if it is one's. */
static int make_keys(const char *prefix, struct stream *stream)
{
    size_t size;
    bool is_stream = false;
    const char *name = queue_of(prefix, stream->key, stream->key_size, &size, &is_stream);

    if (!name || !is_stream)
        return 0;
    char *queue = strndup(name, size);
    int r = queue ? queue_keys_init(&stream->keys, prefix, queue) : -ENOMEM;
    if (r < 0)
        free(queue);
    return r;
}

static int add_found(struct streams *streams, const struct session *session, const redisReply *keys)
{
    int r = 0;

    for (size_t i = 0; i < keys->elements && r == 0; i++) {
        const redisReply *key = keys->element[i];
        size_t size;
        bool is_stream = true, is_known = !key->str;

        if (key->str)
            (void)queue_of(session->config->redis.prefix, key->str, (size_t)key->len, &size, &is_stream);
        for (size_t queue = 0; queue < session->queue_count && !is_known; queue++)
            is_known = strcmp(session->queues[queue].names[QUEUE_KEY_STREAM], key->str) == 0;
        /* Others of a queue hold its dead letters. */
        if (!is_known && is_stream)
            r = add_stream(streams, key->str, (size_t)key->len);
    }
    return r;
}

static int compare_streams(const void *one, const void *other)
{
    const struct stream *left = one, *right = other;
    size_t size = left->key_size < right->key_size ? left->key_size : right->key_size;
    int order = memcmp(left->key, right->key, size);

    return order != 0 ? order : (left->key_size > right->key_size) - (left->key_size < right->key_size);
}

/* Redis may give one twice. */
static void sort_streams(struct streams *streams, size_t first)
{
    size_t kept = first;

    if (streams->count > first)
        qsort(&streams->items[first], streams->count - first, sizeof(streams->items[0]), compare_streams);
    for (size_t i = first; i < streams->count; i++) {
        if (kept > first && compare_streams(&streams->items[kept - 1], &streams->items[i]) == 0)
            free(streams->items[i].key);
        else
            streams->items[kept++] = streams->items[i];
    }
    streams->count = kept;
}

/* Gives an exit status. */
static int scan_streams(struct session *session, struct streams *streams)
{
    char cursor[24] = "0";

    for (int scan = 0; scan < SCANS_MAX; scan++) {
        SESSION_REPLY *reply =
            session_ask_or(session, REDIS_REPLY_ARRAY, "NOPERM", "SCAN %s MATCH %s:* COUNT " SCAN_KEYS " TYPE stream",
                           cursor, session->config->redis.prefix);

        if (!reply)
            return EX_UNAVAILABLE;
        if (reply->type == REDIS_REPLY_ERROR)
            return problem_report(EX_OK, "streams that no node reads are not shown: Redis refuses SCAN to this user");
        if (reply->elements != 2 || !reply->element[0]->str || reply->element[0]->len >= (int)sizeof(cursor))
            break;
        if (add_found(streams, session, reply->element[1]) < 0)
            return problem_report_memory();
        memcpy(cursor, reply->element[0]->str, (size_t)reply->element[0]->len + 1);
        if (strcmp(cursor, "0") == 0)
            return EX_OK;
    }
    return problem_report(EX_OK, "there may be more streams: Redis has very many keys, and not all were looked at");
}

/* Gives an exit status. */
static int find_streams(struct session *session, struct streams *streams)
{
    int r = 0;

    for (size_t i = 0; i < session->queue_count && r == 0; i++) {
        const struct queue_keys *keys = &session->queues[i];

        r = add_stream(streams, keys->names[QUEUE_KEY_STREAM], keys->sizes[QUEUE_KEY_STREAM]);
    }
    int status = r < 0 ? problem_report_memory() : scan_streams(session, streams);
    sort_streams(streams, session->queue_count < streams->count ? session->queue_count : streams->count);
    for (size_t i = 0; i < streams->count && status == EX_OK; i++)
        if (make_keys(session->config->redis.prefix, &streams->items[i]) < 0)
            status = problem_report_memory();
    return status;
}

/* ---- Reading ---- */

/* When a node has last said that it reads the queue (NULL: it is none); false: none ever has. */
static bool find_reader(const redisReply *readers, const char *queue, int64_t *ret_ms)
{
    const redisReply *queues = queue && readers->elements == 2 ? readers->element[1] : NULL;

    for (size_t i = 0; queue && queues && i + 1 < queues->elements; i += 2)
        if (queues->element[i]->str && queues->element[i + 1]->str && strcmp(queues->element[i]->str, queue) == 0) {
            *ret_ms = (int64_t)strtod(queues->element[i + 1]->str, NULL);
            return true;
        }
    return false;
}

/* ---- Showing ---- */

/* What is to be known of a stream beside its counts. */
struct finding {
    const char *meant;   /* the queue that may have been meant; NULL: none is near */
    bool read, was_read; /* now; ever */
    int64_t read_ms;     /* if ever */
};

static struct finding look_at(const struct session *session, const struct stream *stream, const redisReply *readers)
{
    struct finding finding = {0};
    int64_t now_ms =
        readers->elements > 0 && readers->element[0]->str ? strtoll(readers->element[0]->str, NULL, 10) : 0;

    finding.was_read = find_reader(readers, stream->keys.queue, &finding.read_ms);
    finding.read = finding.was_read && now_ms - finding.read_ms < READ_MAX_MS;
    if (!finding.read)
        finding.meant = config_suggest_queue(session->config, stream->key, stream->key_size);
    return finding;
}

static int print_stream(const struct stream *stream, const struct counts *counts, const struct finding *finding)
{
    json_t *object =
        json_pack("{s:s?, s:o, s:I, s:I, s:I, s:I, s:I, s:b}", "queue", stream->keys.queue, "stream",
                  print_make_json(stream->key, stream->key_size), "ready", (json_int_t)counts->ready, "in_flight",
                  (json_int_t)counts->in_flight, "stranded", (json_int_t)counts->stranded, "delayed",
                  (json_int_t)counts->delayed, "dead", (json_int_t)counts->dead, "read", (int)finding->read);

    if (object && finding->meant && json_object_set_new(object, "meant", json_string(finding->meant)) < 0) {
        json_decref(object);
        return -ENOMEM;
    }
    return print_json(object);
}

static int add_notes(struct table *table, const struct session *session, const struct counts *counts,
                     const struct finding *finding)
{
    struct config_text text = {0};
    struct time_text clock = {0};
    int r = 0;

    if (counts->stranded > 0) {
        config_text_add(&text, "%lld of those in flight: the worker is gone, and no node has found that out yet",
                        counts->stranded);
        r = table_add_note(table, NOTE_INDENT, text.text);
    }
    if (finding->read || r < 0)
        return r;
    text = (struct config_text){0};
    config_text_add(&text, "no node reads it");
    if (finding->was_read)
        config_text_add(&text, "; one did until %s", time_format_ms(&clock, finding->read_ms));
    if (finding->meant)
        config_text_add(&text, "; did you mean \"%s:{%s}\"?", session->config->redis.prefix, finding->meant);
    return table_add_note(table, NOTE_INDENT, text.text);
}

static int add_row(struct table *table, const struct session *session, const struct stream *stream,
                   const struct counts *counts, const struct finding *finding)
{
    const long long numbers[] = {counts->ready, counts->in_flight, counts->delayed, counts->dead};
    const char *queue = stream->keys.queue;
    int r = queue ? table_add(table, queue, strlen(queue)) : table_add(table, stream->key, stream->key_size);

    for (size_t column = 0; column < ELEMENTS(numbers) && r == 0; column++)
        r = table_add_number(table, numbers[column]);
    return r < 0 ? r : add_notes(table, session, counts, finding);
}

static int show_streams(struct session *session, const struct streams *streams, struct table *table, bool json)
{
    SESSION_REPLY *readers = session_list_readers(session);

    if (!readers)
        return EX_UNAVAILABLE;
    for (size_t i = 0; i < streams->count; i++) {
        const struct stream *stream = &streams->items[i];
        struct counts counts;

        if (count_all(session, stream, &counts) < 0)
            return EX_UNAVAILABLE;
        struct finding finding = look_at(session, stream, readers);
        int r = json ? print_stream(stream, &counts, &finding) : add_row(table, session, stream, &counts, &finding);
        if (r < 0)
            return problem_report_memory();
    }
    if (!json)
        table_print(table);
    return EX_OK;
}

int queues_run(const struct invocation *invocation)
{
    static const char *const titles[] = {"QUEUE", "READY", "IN FLIGHT", "DELAYED", "DEAD"};
    struct table table = {.titles = titles, .column_count = ELEMENTS(titles)};
    struct streams streams = {0};
    int status = find_streams(invocation->session, &streams);

    if (status == EX_OK)
        status = show_streams(invocation->session, &streams, &table, invocation->options.json);
    table_done(&table);
    streams_done(&streams);
    return status;
}
