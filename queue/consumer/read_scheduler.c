#include "queue/consumer/read_scheduler.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- Shares ---- */

#define PORTIONS    8                 /* that a round is given out in, at the most unless some cannot be used up */
#define PORTION_MIN 32                /* places in one, where there are more queues than portions */
#define PLACE       UINT64_C(3603600) /* what a place costs a queue of weight 1 */

static unsigned smaller(unsigned one, unsigned other)
{
    return one < other ? one : other;
}

static uint64_t cost(const struct read_share *share, unsigned places)
{
    return places * PLACE / share->weight;
}

/* How many more places it can take. */
static unsigned appetite(const struct read_share *share, unsigned common)
{
    unsigned own = share->own > share->places ? share->own - share->places : 0;

    return smaller(share->most - share->places, common > UINT32_MAX - own ? UINT32_MAX : common + own);
}

/* The one that will have spent the least when it has had its portion: of two that have waited for equally long that is
 * the heavier one. Who could take nothing for a while has not saved up. */
static struct read_share *choose_share(struct sharing *sharing, unsigned portion, unsigned common)
{
    struct read_share *chosen = NULL;
    uint64_t least = UINT64_MAX, first = UINT64_MAX;

    for (size_t i = 0, place = sharing->first; i < sharing->count; i++) {
        struct read_share *share = &sharing->shares[place];
        uint64_t spent;

        place = place + 1 < sharing->count ? place + 1 : 0;
        if (appetite(share, common) == 0)
            continue;
        if (share->spent < sharing->now)
            share->spent = sharing->now;
        least = share->spent < least ? share->spent : least;
        spent = share->spent + cost(share, portion);
        if (spent < first) {
            chosen = share;
            first = spent;
        }
    }
    if (chosen)
        sharing->now = least;
    return chosen;
}

unsigned read_share_out(struct sharing *sharing, unsigned places, unsigned common)
{
    unsigned portion = (places + PORTIONS - 1) / PORTIONS;
    unsigned left = places;
    size_t takers = 0;

    for (size_t i = 0; i < sharing->count; i++) {
        sharing->shares[i].places = 0;
        takers += sharing->shares[i].most > 0;
    }
    if (takers > PORTIONS && portion < PORTION_MIN)
        portion = PORTION_MIN;
    while (left > 0) {
        struct read_share *chosen = choose_share(sharing, portion, common);
        unsigned count, own;

        if (!chosen)
            break;
        count = smaller(smaller(portion, left), appetite(chosen, common));
        own = chosen->own > chosen->places ? smaller(count, chosen->own - chosen->places) : 0;
        assert(count > 0 && count - own <= common);
        chosen->spent += cost(chosen, count);
        chosen->places += count;
        common -= count - own;
        left -= count;
    }
    return places - left;
}

/* ---- Read scheduler ---- */

/* How often queues that were empty are looked at while others have work: looking at many of them costs Redis more. */
#define PROBE_PERIOD_MS          2
#define PROBE_PERIOD_MS_OF(many) (PROBE_PERIOD_MS + (int64_t)(many) / 32)

/* Queues that are looked at together, at least: each may turn out to have a job. */
#define PROBE_MIN 16

/* A job that such a look finds is settled by itself, which costs as much as to settle a batch. Where most queues that
 * were looked at have jobs, the unknown ones are read like busy ones instead, at the price of a read where there is
 * nothing, until that happens much more often than not. */
#define EXPECTED_MAX 64
#define EXPECTED_HIT 8 /* a read that finds something, in reads that find nothing */

enum read_scheduler_belief {
    READ_UNKNOWN, /* it has not been looked at */
    READ_EMPTY,   /* it gave less than it was asked for */
    READ_BUSY,
    READ_DOUBTED, /* only a read of its own tells whether it can be read */
};

struct read_scheduler_queue {
    enum read_scheduler_belief belief;
    bool chosen;
    unsigned most;         /* jobs; more there are in the worker never */
    unsigned reserve;      /* places that no other queue gets */
    int64_t left_alone_ms; /* until then */
};

struct read_scheduler {
    size_t count;
    bool limited;      /* there are limits or reserves */
    unsigned expected; /* whether queues that have not been looked at are likely to have jobs: 0, they are not */
    size_t chosen;
    unsigned each;
    size_t turn; /* the queue that is looked at first when there are too many for one read */
    int64_t probed_ms;
    struct sharing sharing;
    struct read_scheduler_queue queues[];
};

/* ---- Places ---- */

/* Places that are reserved for a queue and free. */
static unsigned own_places(const struct read_scheduler *scheduler, const struct read_scheduler_room *room, size_t queue)
{
    unsigned reserve = scheduler->queues[queue].reserve;

    return room->held[queue] < reserve ? reserve - (unsigned)room->held[queue] : 0;
}

/* Places that are not reserved for any. */
static unsigned common_places(const struct read_scheduler *scheduler, const struct read_scheduler_room *room)
{
    unsigned common = room->places;

    for (size_t i = 0; scheduler->limited && i < scheduler->count; i++)
        common -= smaller(common, own_places(scheduler, room, i));
    return common;
}

/* How many jobs of a queue there is room for. */
static unsigned places_of(const struct read_scheduler *scheduler, const struct read_scheduler_room *room,
                          unsigned common, size_t queue, int64_t now_ms)
{
    const struct read_scheduler_queue *own = &scheduler->queues[queue];
    unsigned places;

    if (own->left_alone_ms > now_ms)
        return 0;
    if (!scheduler->limited)
        return room->places;
    places = smaller(room->places, common + own_places(scheduler, room, queue));
    return room->held[queue] < own->most ? smaller(places, own->most - (unsigned)room->held[queue]) : 0;
}

/* ---- Plans ---- */

static bool is_read_alone(const struct read_scheduler *scheduler, size_t queue)
{
    enum read_scheduler_belief belief = scheduler->queues[queue].belief;

    return belief == READ_BUSY || belief == READ_DOUBTED || (belief == READ_UNKNOWN && scheduler->expected > 0);
}

/* Judges by the look that the last plan took. */
static void note_hits(struct read_scheduler *scheduler)
{
    size_t hits = 0;

    for (size_t i = 0; scheduler->chosen > 0 && i < scheduler->count; i++)
        hits += scheduler->queues[i].chosen && scheduler->queues[i].belief == READ_BUSY;
    if (2 * hits > scheduler->chosen)
        scheduler->expected = EXPECTED_MAX;
}

static void clear_plan(struct read_scheduler *scheduler)
{
    for (size_t i = 0; i < scheduler->count; i++) {
        scheduler->queues[i].chosen = false;
        scheduler->sharing.shares[i].places = 0;
    }
    scheduler->chosen = 0;
    scheduler->each = 0;
}

/* Chooses at most `wanted` of the queues that are not read alone, beginning where the last such plan ended. */
static void choose(struct read_scheduler *scheduler, size_t wanted)
{
    size_t first = scheduler->turn;

    for (size_t i = 0; i < scheduler->count && scheduler->chosen < wanted; i++) {
        size_t queue = first + i < scheduler->count ? first + i : first + i - scheduler->count;

        if (scheduler->sharing.shares[queue].most == 0 || is_read_alone(scheduler, queue))
            continue;
        scheduler->queues[queue].chosen = true;
        scheduler->chosen++;
        scheduler->turn = queue + 1 < scheduler->count ? queue + 1 : 0;
    }
    scheduler->each = 1;
}

/* A blocking read is woken by one queue, but may find jobs in all. */
static void plan_waiting(struct read_scheduler *scheduler, const struct read_scheduler_room *room)
{
    choose(scheduler, scheduler->count);
    scheduler->each = room->limit / (unsigned)scheduler->chosen;
    for (size_t i = 0; i < scheduler->count; i++)
        if (scheduler->queues[i].chosen)
            scheduler->each = smaller(scheduler->each, scheduler->sharing.shares[i].most);
    if (scheduler->each == 0)
        scheduler->each = 1;
}

static void share_among_the_busy(struct read_scheduler *scheduler, const struct read_scheduler_room *room,
                                 unsigned common)
{
    for (size_t i = 0; i < scheduler->count; i++) {
        struct read_share *share = &scheduler->sharing.shares[i];

        if (!is_read_alone(scheduler, i))
            share->most = 0;
        share->own = scheduler->limited ? own_places(scheduler, room, i) : 0;
    }
    (void)read_share_out(&scheduler->sharing, room->limit, common);
}

enum read_plan read_scheduler_make_plan(struct read_scheduler *scheduler, const struct read_scheduler_room *room,
                                        int64_t now_ms)
{
    unsigned common = common_places(scheduler, room);
    size_t readable = 0, alone = 0, unknown = 0;

    assert(room->limit > 0 && room->limit <= room->places);
    note_hits(scheduler);
    clear_plan(scheduler);
    for (size_t i = 0; i < scheduler->count; i++) {
        unsigned places = places_of(scheduler, room, common, i, now_ms);

        scheduler->sharing.shares[i].most = places;
        readable += places > 0;
        alone += places > 0 && is_read_alone(scheduler, i);
        unknown += places > 0 && scheduler->queues[i].belief == READ_UNKNOWN;
    }
    if (readable == 0)
        return READ_NOTHING;
    /* A queue alone is always read with blocking, which does not wait where there is something. */
    if (readable == scheduler->count && scheduler->count == 1 && scheduler->queues[0].belief != READ_DOUBTED) {
        scheduler->queues[0].chosen = true;
        scheduler->chosen = 1;
        scheduler->each = smaller(room->limit, scheduler->sharing.shares[0].most);
        return READ_WAIT;
    }
    if (alone == 0 && unknown == 0) {
        plan_waiting(scheduler, room);
        return READ_WAIT;
    }
    if (readable > alone && (alone == 0 || now_ms - scheduler->probed_ms >= PROBE_PERIOD_MS_OF(readable - alone))) {
        choose(scheduler, room->limit > PROBE_MIN ? room->limit : PROBE_MIN);
        scheduler->probed_ms = now_ms;
    }
    share_among_the_busy(scheduler, room, common);
    return READ_ROUND;
}

unsigned read_scheduler_count(const struct read_scheduler *scheduler, size_t queue)
{
    return scheduler->sharing.shares[queue].places;
}

bool read_scheduler_is_chosen(const struct read_scheduler *scheduler, size_t queue)
{
    return scheduler->queues[queue].chosen;
}

size_t read_scheduler_chosen(const struct read_scheduler *scheduler)
{
    return scheduler->chosen;
}

unsigned read_scheduler_each(const struct read_scheduler *scheduler)
{
    return scheduler->each;
}

bool read_scheduler_is_idle(const struct read_scheduler *scheduler)
{
    for (size_t i = 0; i < scheduler->count; i++)
        if (scheduler->queues[i].belief == READ_BUSY)
            return false;
    return true;
}

bool read_scheduler_misses(const struct read_scheduler *scheduler, const struct read_scheduler_room *room,
                           int64_t now_ms)
{
    unsigned common;

    if (!scheduler->limited)
        return false;
    common = common_places(scheduler, room);
    for (size_t i = 0; i < scheduler->count; i++)
        if (!scheduler->queues[i].chosen && places_of(scheduler, room, common, i, now_ms) > 0)
            return true;
    return false;
}

/* ---- What is found ---- */

/* Of an unknown queue in a read of its own. */
static void note_first_read(struct read_scheduler *scheduler, bool hit)
{
    if (hit)
        scheduler->expected = smaller(scheduler->expected + EXPECTED_HIT, EXPECTED_MAX);
    else if (scheduler->expected > 0)
        scheduler->expected--;
}

void read_scheduler_note_read(struct read_scheduler *scheduler, size_t queue, unsigned asked, size_t given)
{
    if (scheduler->queues[queue].belief == READ_UNKNOWN && !scheduler->queues[queue].chosen)
        note_first_read(scheduler, given > 0);
    scheduler->queues[queue].belief = given < asked ? READ_EMPTY : READ_BUSY;
}

void read_scheduler_leave_alone(struct read_scheduler *scheduler, size_t queue, int64_t until_ms)
{
    scheduler->queues[queue].belief = READ_DOUBTED;
    scheduler->queues[queue].left_alone_ms = until_ms;
}

void read_scheduler_doubt_all(struct read_scheduler *scheduler)
{
    for (size_t i = 0; i < scheduler->count; i++)
        scheduler->queues[i].belief = READ_DOUBTED;
}

int read_scheduler_new(const struct queue_spec *queues, size_t count, size_t first,
                       struct read_scheduler **ret_scheduler)
{
    struct read_scheduler *scheduler = calloc(1, sizeof(*scheduler) + count * sizeof(scheduler->queues[0]));

    assert(first < count);
    if (!scheduler)
        return -ENOMEM;
    scheduler->sharing.shares = calloc(count, sizeof(*scheduler->sharing.shares));
    if (!scheduler->sharing.shares) {
        read_scheduler_free(scheduler);
        return -ENOMEM;
    }
    scheduler->count = count;
    scheduler->sharing.count = count;
    /* Of few queues a round reads all anyway. */
    scheduler->sharing.first = count > PORTIONS ? first : 0;
    scheduler->turn = scheduler->sharing.first;
    for (size_t i = 0; i < count; i++) {
        scheduler->sharing.shares[i].weight = queues[i].weight;
        scheduler->queues[i].most = queues[i].concurrency > 0 ? queues[i].concurrency : UINT32_MAX;
        scheduler->queues[i].reserve = queues[i].reserve;
        scheduler->limited = scheduler->limited || queues[i].concurrency > 0 || queues[i].reserve > 0;
    }
    *ret_scheduler = scheduler;
    return 0;
}

struct read_scheduler *read_scheduler_free(struct read_scheduler *scheduler)
{
    if (scheduler)
        free(scheduler->sharing.shares);
    free(scheduler);
    return NULL;
}
