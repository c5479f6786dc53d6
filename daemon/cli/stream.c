#include "daemon/cli/stream.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "queue/entry.h"

#define PAGE_FIRST 16 /* entries: what they weigh is not known yet */
#define PAGE_MAX   1000
#define PAGE_BYTES ((size_t)4 * 1024 * 1024)

struct walk {
    size_t left;   /* entries that may still be visited */
    size_t page;   /* entries of the next one */
    char next[64]; /* where it begins */
    bool (*visit)(const struct stream_entry *entry, void *user);
    void *user;
};

/* ---- Entries ---- */

const redisReply *stream_entry_find(const struct stream_entry *entry, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = entry->count; i > 0; i--) {
        const redisReply *field = entry->fields[2 * (i - 1)];

        if ((size_t)field->len == size && memcmp(field->str, name, size) == 0)
            return entry->fields[2 * i - 1];
    }
    return NULL;
}

bool stream_entry_read(const redisReply *reply, struct stream_entry *ret_entry)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING)
        return false;
    const redisReply *fields = reply->element[1];

    if (fields->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < fields->elements; i++)
        if (fields->element[i]->type != REDIS_REPLY_STRING)
            return false;
    *ret_entry =
        (struct stream_entry){.id = reply->element[0]->str, .fields = fields->element, .count = fields->elements / 2};
    return true;
}

/* ---- Pages ---- */

/* Gives whether the visitor has seen enough. */
static bool visit_page(struct walk *walk, const redisReply *reply)
{
    size_t bytes = 0;

    for (size_t i = 0; i < reply->elements && walk->left > 0; i++, walk->left--) {
        struct stream_entry entry;

        if (!stream_entry_read(reply->element[i], &entry))
            continue;
        /* `(ID`, which excludes the bound itself, is of Redis 6.2. */
        snprintf(walk->next, sizeof(walk->next), "(%s", entry.id);
        for (size_t field = 0; field < 2 * entry.count; field++)
            bytes += (size_t)entry.fields[field]->len;
        if (walk->visit(&entry, walk->user))
            return true;
    }
    size_t page = bytes > PAGE_BYTES ? reply->elements / 2 : reply->elements * (PAGE_BYTES / (bytes + 1));

    walk->page = page < 1 ? 1 : page > PAGE_MAX ? PAGE_MAX : page;
    return false;
}

enum stream_result stream_walk(struct session *session, const char *key, enum stream_order order, size_t limit,
                               bool (*visit)(const struct stream_entry *entry, void *user), void *user)
{
    assert(key && visit);
    struct walk walk = {.left = limit, .page = PAGE_FIRST, .visit = visit, .user = user};

    strcpy(walk.next, order == STREAM_NEWEST_FIRST ? "+" : "-");
    while (walk.left > 0) {
        unsigned long long count = walk.page < walk.left ? walk.page : walk.left;
        bool newest_first = order == STREAM_NEWEST_FIRST;
        SESSION_REPLY *reply = session_ask(session, REDIS_REPLY_ARRAY,
                                           newest_first ? "XREVRANGE %s %s - COUNT %llu" : "XRANGE %s %s + COUNT %llu",
                                           key, walk.next, count);

        if (!reply)
            return STREAM_FAILED;
        if (reply->elements == 0)
            return STREAM_ENDED;
        if (visit_page(&walk, reply))
            return STREAM_STOPPED;
    }
    return STREAM_LIMITED;
}
