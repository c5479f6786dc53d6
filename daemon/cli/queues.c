/* weft queues: how much there is in each queue, asked in constant time. */
#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "context/macros.h"
#include "daemon/cli/command.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/session.h"
#include "daemon/cli/table.h"

struct counts {
    long long ready;
    long long in_flight;
    long long delayed;
    long long dead;
};

static int count(struct session *session, const char *command, const char *key, long long *ret_count)
{
    SESSION_REPLY *reply = session_ask(session, REDIS_REPLY_INTEGER, "%s %s", command, key);

    if (!reply)
        return -EIO;
    *ret_count = reply->integer;
    return 0;
}

/* A queue that no weftd has read yet has no group, and nothing in flight. */
static int count_in_flight(struct session *session, const char *key, long long *ret_count)
{
    SESSION_REPLY *reply = session_ask_or(session, REDIS_REPLY_ARRAY, "NOGROUP", "XPENDING %s " QUEUE_GROUP, key);

    if (!reply)
        return -EIO;
    bool has_count =
        reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->type == REDIS_REPLY_INTEGER;

    *ret_count = has_count ? reply->element[0]->integer : 0;
    return 0;
}

static int count_all(struct session *session, const struct queue_keys *keys, struct counts *ret_counts)
{
    long long entries, in_flight, delayed, dead;

    if (count(session, "XLEN", keys->names[QUEUE_KEY_STREAM], &entries) < 0 ||
        count_in_flight(session, keys->names[QUEUE_KEY_STREAM], &in_flight) < 0 ||
        count(session, "ZCARD", keys->names[QUEUE_KEY_DELAYED], &delayed) < 0 ||
        count(session, "XLEN", keys->names[QUEUE_KEY_DEAD], &dead) < 0)
        return -EIO;
    /* Jobs may have started between the two questions. */
    *ret_counts = (struct counts){
        .ready = entries > in_flight ? entries - in_flight : 0,
        .in_flight = in_flight,
        .delayed = delayed,
        .dead = dead,
    };
    return 0;
}

static int show_queues(struct session *session, struct table *table, bool json)
{
    for (size_t i = 0; i < session->queue_count; i++) {
        const char *queue = session->queues[i].queue;
        struct counts counts;

        if (count_all(session, &session->queues[i], &counts) < 0)
            return EX_UNAVAILABLE;
        const long long numbers[] = {counts.ready, counts.in_flight, counts.delayed, counts.dead};
        int r = json ? print_json(json_pack("{s:s, s:I, s:I, s:I, s:I}", "queue", queue, "ready",
                                            (json_int_t)counts.ready, "in_flight", (json_int_t)counts.in_flight,
                                            "delayed", (json_int_t)counts.delayed, "dead", (json_int_t)counts.dead))
                     : table_add(table, queue, strlen(queue));

        for (size_t column = 0; column < ELEMENTS(numbers) && !json && r == 0; column++)
            r = table_add_number(table, numbers[column]);
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
    int status = show_queues(invocation->session, &table, invocation->options.json);

    table_done(&table);
    return status;
}
