#include "queue/consumer/read_scheduler.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "queue/consumer/read_share.h"

/* How often queues that were empty are looked at while others have work: looking at many of them costs Redis more. */
#define PROBE_PERIOD_MS          2
#define PROBE_PERIOD_MS_OF(many) (PROBE_PERIOD_MS + (int64_t)(many) / 32)

/* Queues that are looked at together, at least: each may turn out to have a job. */
#define PROBE_MIN 16

enum roster_belief {
    ROSTER_UNKNOWN, /* it has not been looked at */
    ROSTER_EMPTY,   /* it gave less than it was asked for */
    ROSTER_BUSY,
    ROSTER_DOUBTED, /* only a read of its own tells whether it can be read */
};

struct roster_queue {
    enum roster_belief belief;
    bool chosen;
    unsigned most;         /* jobs; more there are in the worker never */
    unsigned reserve;      /* places that no other queue gets */
    int64_t left_alone_ms; /* until then */
};

struct roster {
    size_t count;
    bool limited; /* there are limits or reserves */
    size_t chosen;
    unsigned each;
    size_t turn; /* the queue that is looked at first when there are too many for one read */
    int64_t probed_ms;
    struct sharing sharing;
    struct roster_queue queues[];
};

static unsigned smaller(unsigned one, unsigned other)
{
    return one < other ? one : other;
}

/* ---- Places ---- */

/* Places that are reserved for a queue and free. */
static unsigned own_places(const struct roster *roster, const struct roster_room *room, size_t queue)
{
    unsigned reserve = roster->queues[queue].reserve;

    return room->held[queue] < reserve ? reserve - (unsigned)room->held[queue] : 0;
}

/* Places that are not reserved for any. */
static unsigned common_places(const struct roster *roster, const struct roster_room *room)
{
    unsigned common = room->places;

    for (size_t i = 0; roster->limited && i < roster->count; i++)
        common -= smaller(common, own_places(roster, room, i));
    return common;
}

/* How many jobs of a queue there is room for. */
static unsigned places_of(const struct roster *roster, const struct roster_room *room, unsigned common, size_t queue,
                          int64_t now_ms)
{
    const struct roster_queue *own = &roster->queues[queue];
    unsigned places;

    if (own->left_alone_ms > now_ms)
        return 0;
    if (!roster->limited)
        return room->places;
    places = smaller(room->places, common + own_places(roster, room, queue));
    return room->held[queue] < own->most ? smaller(places, own->most - (unsigned)room->held[queue]) : 0;
}

/* ---- Plans ---- */

static bool is_read_alone(const struct roster_queue *queue)
{
    return queue->belief == ROSTER_BUSY || queue->belief == ROSTER_DOUBTED;
}

static void clear_plan(struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++) {
        roster->queues[i].chosen = false;
        roster->sharing.shares[i].places = 0;
    }
    roster->chosen = 0;
    roster->each = 0;
}

/* Chooses at most `wanted` of the queues that are not read alone, beginning where the last such plan ended. */
static void choose(struct roster *roster, size_t wanted)
{
    size_t first = roster->turn;

    for (size_t i = 0; i < roster->count && roster->chosen < wanted; i++) {
        size_t queue = first + i < roster->count ? first + i : first + i - roster->count;

        if (roster->sharing.shares[queue].most == 0 || is_read_alone(&roster->queues[queue]))
            continue;
        roster->queues[queue].chosen = true;
        roster->chosen++;
        roster->turn = queue + 1 < roster->count ? queue + 1 : 0;
    }
    roster->each = 1;
}

/* A blocking read is woken by one queue, but may find jobs in all. */
static void plan_waiting(struct roster *roster, const struct roster_room *room)
{
    choose(roster, roster->count);
    roster->each = room->limit / (unsigned)roster->chosen;
    for (size_t i = 0; i < roster->count; i++)
        if (roster->queues[i].chosen)
            roster->each = smaller(roster->each, roster->sharing.shares[i].most);
    if (roster->each == 0)
        roster->each = 1;
}

static void share_among_the_busy(struct roster *roster, const struct roster_room *room, unsigned common)
{
    for (size_t i = 0; i < roster->count; i++) {
        struct share *share = &roster->sharing.shares[i];

        if (!is_read_alone(&roster->queues[i]))
            share->most = 0;
        share->own = roster->limited ? own_places(roster, room, i) : 0;
    }
    (void)share_out(&roster->sharing, room->limit, common);
}

enum roster_plan roster_make_plan(struct roster *roster, const struct roster_room *room, int64_t now_ms)
{
    unsigned common = common_places(roster, room);
    size_t readable = 0, alone = 0, unknown = 0;

    assert(room->limit > 0 && room->limit <= room->places);
    clear_plan(roster);
    for (size_t i = 0; i < roster->count; i++) {
        unsigned places = places_of(roster, room, common, i, now_ms);

        roster->sharing.shares[i].most = places;
        readable += places > 0;
        alone += places > 0 && is_read_alone(&roster->queues[i]);
        unknown += places > 0 && roster->queues[i].belief == ROSTER_UNKNOWN;
    }
    if (readable == 0)
        return ROSTER_NOTHING;
    /* A queue alone is always read with blocking, which does not wait where there is something. */
    if (readable == roster->count && roster->count == 1 && roster->queues[0].belief != ROSTER_DOUBTED) {
        roster->queues[0].chosen = true;
        roster->chosen = 1;
        roster->each = smaller(room->limit, roster->sharing.shares[0].most);
        return ROSTER_WAIT;
    }
    if (alone == 0 && unknown == 0) {
        plan_waiting(roster, room);
        return ROSTER_WAIT;
    }
    if (readable > alone && (alone == 0 || now_ms - roster->probed_ms >= PROBE_PERIOD_MS_OF(readable - alone))) {
        choose(roster, room->limit > PROBE_MIN ? room->limit : PROBE_MIN);
        roster->probed_ms = now_ms;
    }
    share_among_the_busy(roster, room, common);
    return ROSTER_ROUND;
}

unsigned roster_count(const struct roster *roster, size_t queue)
{
    return roster->sharing.shares[queue].places;
}

bool roster_is_chosen(const struct roster *roster, size_t queue)
{
    return roster->queues[queue].chosen;
}

size_t roster_chosen(const struct roster *roster)
{
    return roster->chosen;
}

unsigned roster_each(const struct roster *roster)
{
    return roster->each;
}

bool roster_is_idle(const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        if (roster->queues[i].belief == ROSTER_BUSY)
            return false;
    return true;
}

bool roster_misses(const struct roster *roster, const struct roster_room *room, int64_t now_ms)
{
    unsigned common;

    if (!roster->limited)
        return false;
    common = common_places(roster, room);
    for (size_t i = 0; i < roster->count; i++)
        if (!roster->queues[i].chosen && places_of(roster, room, common, i, now_ms) > 0)
            return true;
    return false;
}

/* ---- What is found ---- */

void roster_note_read(struct roster *roster, size_t queue, unsigned asked, size_t given)
{
    roster->queues[queue].belief = given < asked ? ROSTER_EMPTY : ROSTER_BUSY;
}

void roster_leave_alone(struct roster *roster, size_t queue, int64_t until_ms)
{
    roster->queues[queue].belief = ROSTER_DOUBTED;
    roster->queues[queue].left_alone_ms = until_ms;
}

void roster_doubt_all(struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        roster->queues[i].belief = ROSTER_DOUBTED;
}

int roster_new(const struct queue_spec *queues, size_t count, struct roster **ret_roster)
{
    struct roster *roster = calloc(1, sizeof(*roster) + count * sizeof(roster->queues[0]));

    if (!roster)
        return -ENOMEM;
    roster->sharing.shares = calloc(count, sizeof(*roster->sharing.shares));
    if (!roster->sharing.shares) {
        roster_free(roster);
        return -ENOMEM;
    }
    roster->count = count;
    roster->sharing.count = count;
    for (size_t i = 0; i < count; i++) {
        roster->sharing.shares[i].weight = queues[i].weight;
        roster->queues[i].most = queues[i].concurrency > 0 ? queues[i].concurrency : UINT32_MAX;
        roster->queues[i].reserve = queues[i].reserve;
        roster->limited = roster->limited || queues[i].concurrency > 0 || queues[i].reserve > 0;
    }
    *ret_roster = roster;
    return 0;
}

struct roster *roster_free(struct roster *roster)
{
    if (roster)
        free(roster->sharing.shares);
    free(roster);
    return NULL;
}
