#include "queue/roster.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/share.h"

#define PROBE_PERIOD_MS 10 /* how often a queue that was empty is looked at while others have work */

struct roster_queue {
    bool empty;   /* it gave less than it was asked for */
    bool doubted; /* only a read of its own tells whether it can be read */
    int64_t read_ms;
    int64_t left_alone_ms; /* until then */
};

struct roster {
    size_t count;
    size_t turn; /* the queue that comes first when they take turns */
    struct share *shares;
    struct roster_queue queues[];
};

static bool is_readable(const struct roster *roster, size_t queue, int64_t now_ms)
{
    return roster->queues[queue].left_alone_ms <= now_ms;
}

/* As many queues as there are places, beginning where the last plan of this kind ended. */
static void plan_waiting(struct roster *roster, size_t wanted, unsigned count, int64_t now_ms)
{
    size_t first = roster->turn;
    size_t chosen = 0;

    for (size_t i = 0; i < roster->count; i++)
        roster->shares[i].places = 0;
    for (size_t i = 0; i < roster->count && chosen < wanted; i++) {
        size_t queue = (first + i) % roster->count;

        if (!is_readable(roster, queue, now_ms))
            continue;
        roster->shares[queue].places = count;
        roster->queues[queue].read_ms = now_ms;
        roster->turn = (queue + 1) % roster->count;
        chosen++;
    }
}

static unsigned most_of(const struct roster *roster, size_t queue, unsigned limit, int64_t now_ms)
{
    if (!is_readable(roster, queue, now_ms))
        return 0;
    if (!roster->queues[queue].empty)
        return limit;
    return now_ms - roster->queues[queue].read_ms >= PROBE_PERIOD_MS;
}

static void plan_round(struct roster *roster, unsigned limit, int64_t now_ms)
{
    for (size_t i = 0; i < roster->count; i++)
        roster->shares[i].most = most_of(roster, i, limit, now_ms);
    (void)share_out(roster->shares, roster->count, limit);
    for (size_t i = 0; i < roster->count; i++)
        if (roster->shares[i].places > 0)
            roster->queues[i].read_ms = now_ms;
}

/* A queue alone is always read with blocking, which does not wait where there is something. */
enum roster_plan roster_make_plan(struct roster *roster, unsigned limit, int64_t now_ms)
{
    size_t readable = 0;
    size_t busy = 0;
    size_t doubted = 0;

    for (size_t i = 0; i < roster->count; i++) {
        if (!is_readable(roster, i, now_ms))
            continue;
        readable++;
        busy += !roster->queues[i].empty;
        doubted += roster->queues[i].doubted;
    }
    if (readable == 0)
        return ROSTER_NOTHING;
    if (doubted > 0 || (busy > 0 && roster->count > 1)) {
        plan_round(roster, limit, now_ms);
        return ROSTER_ROUND;
    }
    if (limit < readable) {
        plan_waiting(roster, limit, 1, now_ms);
        return ROSTER_CROWDED;
    }
    plan_waiting(roster, readable, limit / (unsigned)readable, now_ms);
    return ROSTER_WAIT;
}

unsigned roster_count(const struct roster *roster, size_t queue)
{
    return roster->shares[queue].places;
}

void roster_note_read(struct roster *roster, size_t queue, unsigned asked, size_t given)
{
    roster->queues[queue].empty = given < asked;
    roster->queues[queue].doubted = false;
}

void roster_leave_alone(struct roster *roster, size_t queue, int64_t until_ms)
{
    struct roster_queue *ailing = &roster->queues[queue];

    ailing->doubted = true;
    ailing->empty = false;
    ailing->left_alone_ms = until_ms;
}

void roster_doubt_all(struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++) {
        roster->queues[i].empty = false;
        roster->queues[i].doubted = true;
    }
}

int roster_new(const struct queue_spec *queues, size_t count, struct roster **ret_roster)
{
    struct roster *roster = calloc(1, sizeof(*roster) + count * sizeof(roster->queues[0]));

    if (!roster)
        return -ENOMEM;
    roster->shares = calloc(count, sizeof(*roster->shares));
    if (!roster->shares) {
        roster_free(roster);
        return -ENOMEM;
    }
    roster->count = count;
    for (size_t i = 0; i < count; i++)
        roster->shares[i].weight = queues[i].weight;
    *ret_roster = roster;
    return 0;
}

struct roster *roster_free(struct roster *roster)
{
    if (roster)
        free(roster->shares);
    free(roster);
    return NULL;
}
