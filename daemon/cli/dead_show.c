/* weft dead show: everything that a dead letter holds. */
#include "daemon/cli/dead_show.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "context/cleanup.h"
#include "daemon/cli/dead_find.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/session.h"
#include "daemon/cli/stream.h"

/* The one field that is shown and not in Redis. No sender can have set it, since such names are weft's own. */
#define QUEUE_FIELD "weft.queue"

struct search {
    const char *id;
    const char *queue; /* that is being read */
    bool json;
    bool found;
    int error;
};

static int print_fields(const struct search *search, const struct stream_entry *entry)
{
    size_t count = entry->count + 1;
    CLEANUP_FREE struct print_pair *pairs = calloc(count, sizeof(*pairs));

    if (!pairs)
        return -ENOMEM;
    for (size_t i = 0; i < entry->count; i++) {
        const redisReply *name = entry->fields[2 * i], *value = entry->fields[2 * i + 1];

        pairs[i] = (struct print_pair){name->str, (size_t)name->len, value->str, (size_t)value->len};
    }
    pairs[entry->count] = (struct print_pair){QUEUE_FIELD, strlen(QUEUE_FIELD), search->queue, strlen(search->queue)};
    print_pairs(pairs, count);
    return 0;
}

static int print_fields_json(const struct search *search, const struct stream_entry *entry)
{
    json_t *object = json_object();
    int r = object ? 0 : -ENOMEM;

    for (size_t i = 0; i < entry->count && r == 0; i++) {
        const redisReply *name = entry->fields[2 * i], *value = entry->fields[2 * i + 1];

        r = print_add_json(object, name->str, (size_t)name->len, print_make_json(value->str, (size_t)value->len));
    }
    if (r == 0 && json_object_set_new(object, QUEUE_FIELD, json_string(search->queue)) < 0)
        r = -ENOMEM;
    return print_made_json(object, r);
}

static bool visit(const struct stream_entry *entry, void *user)
{
    struct search *search = user;

    if (!job_id_is_of(search->id, entry))
        return false;
    search->found = true;
    search->error = search->json ? print_fields_json(search, entry) : print_fields(search, entry);
    return true;
}

static int search_all(struct session *session, struct search *search)
{
    for (size_t i = 0; i < session->queue_count && !search->found; i++) {
        search->queue = session->queues[i].queue;
        if (stream_walk(session, session->queues[i].names[QUEUE_KEY_DEAD], STREAM_NEWEST_FIRST, SIZE_MAX, visit,
                        search) == STREAM_FAILED)
            return EX_UNAVAILABLE;
    }
    if (search->error < 0)
        return problem_report_memory();
    if (!search->found)
        return dead_report_missing(search->id);
    return EX_OK;
}

int dead_show(const struct invocation *invocation)
{
    struct search search = {.id = invocation->options.words[0], .json = invocation->options.json};
    struct session session;
    int status = job_id_check("dead show", search.id);

    if (status == EX_OK)
        status = session_open(&session, invocation->config, invocation->options.queue);
    if (status != EX_OK)
        return status;
    status = search_all(&session, &search);
    session_close(&session);
    return status;
}
