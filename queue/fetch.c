#include "queue/fetch.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/clock.h"
#include "queue/group.h"
#include "queue/reading.h"
#include "queue/recovery.h"
#include "queue/roster.h"

#define READ_MAX        256                       /* jobs a read */
#define READ_BYTES_MAX  ((size_t)8 * 1024 * 1024) /* that are likely in a read */
#define WAIT_MS         2000                      /* well below what a connection may be silent for */
#define CROWDED_WAIT_MS 50                        /* until other queues have their turn */
#define STILL_MAX_MS    5000                      /* until a fetch that could read and does not is stuck */
#define AILING_MS       500                       /* how long a queue that cannot be read is left alone */

enum fetch_state {
    FETCH_AWAY,       /* no connection */
    FETCH_GROUPING,   /* the consumer groups are being made */
    FETCH_RECOVERING, /* looking for entries that got lost on their way */
    FETCH_READY,
};

struct fetch_read {
    struct redis_request request; /* first, so that the one is found from the other */
    struct fetch *fetch;
    struct trouble_subject trouble; /* of reading the queue */
    size_t queue;                   /* ignored by the blocking read of several */
    unsigned each;                  /* COUNT, which goes for each queue */
    unsigned asked;                 /* places that are reserved for what it brings */
};

struct fetch {
    struct redis *redis;
    const struct queue_options *options;
    const struct queue_keys *keys;
    const char *consumer;
    const struct fetch_target *target;
    struct arrival arrival;
    struct group_maker *groups;
    struct recovery *recovery;
    struct words words;
    struct event *timer; /* looks again after an ailing queue */

    enum fetch_state state;
    bool stopped;
    bool recover;        /* an earlier connection may have lost something */
    bool groupless;      /* a queue could not be read because it has no group */
    int64_t room;        /* below 0 when what was recovered did not fit */
    size_t outstanding;  /* reads under way */
    size_t answers;      /* to reads */
    size_t answers_seen; /* by fetch_is_moving() */
    int64_t still_ms;    /* since when it has seen no read; 0: it has */
    int64_t grouped_ms;
    struct fetch_read blocking;
    struct roster *roster;
    struct fetch_read reads[]; /* of each queue by itself */
};

/* ---- Trouble ---- */

static void look_again(evutil_socket_t fd, short what, void *arg)
{
    struct fetch *fetch = arg;

    (void)fd;
    (void)what;
    fetch->target->wake(fetch->target->user);
}

/* A little later than what waits for it: the event loop's clock may be behind. */
static void set_timer(struct fetch *fetch)
{
    if (!event_pending(fetch->timer, EV_TIMEOUT, NULL))
        event_add(fetch->timer, &(struct timeval){.tv_usec = (AILING_MS + 10) * 1000});
}

/* Makes the groups, though not again and again without a pause. */
static void make_groups(struct fetch *fetch)
{
    int64_t now_ms = clock_steady_ms();

    fetch->state = FETCH_GROUPING;
    if (fetch->grouped_ms != 0 && now_ms - fetch->grouped_ms < AILING_MS) {
        set_timer(fetch);
        return;
    }
    fetch->grouped_ms = now_ms;
    if (group_maker_start(fetch->groups) < 0)
        set_timer(fetch);
}

void fetch_leave_alone(struct fetch *fetch, size_t queue)
{
    roster_leave_alone(fetch->roster, queue, clock_steady_ms() + AILING_MS);
    set_timer(fetch);
}

static void act_on_error(struct fetch *fetch, const struct fetch_read *read, const redisReply *reply)
{
    if (reply_blames_server(reply)) {
        redis_fail(fetch->redis, reply->str);
    } else if (reply_is_error(reply, "NOGROUP") || reply_is_error(reply, "UNBLOCKED")) {
        fetch->groupless = reply_is_error(reply, "NOGROUP");
        make_groups(fetch);
    } else if (read == &fetch->blocking) {
        /* Which queue it is shows when they are read one by one. */
        roster_doubt_all(fetch->roster);
    } else {
        reading_report(&fetch->reads[read->queue].trouble, &fetch->keys[read->queue], reply);
        fetch_leave_alone(fetch, read->queue);
    }
}

/* ---- Replies ---- */

static void hand_over(struct fetch *fetch, const redisReply *reply)
{
    const redisReply *entries;
    const char *key;

    for (size_t i = 0; (entries = arrival_stream(reply, i, &key)) != NULL; i++) {
        size_t queue = queue_keys_find(fetch->keys, fetch->options->queue_count, key);
        unsigned places;

        if (queue == fetch->options->queue_count)
            continue;
        places = arrival_take_new(&fetch->arrival, queue, entries);
        fetch->room += (int64_t)entries->elements - places;
    }
}

/* What could not be recovered from a queue, because it could not be read, can be now. */
static void note_readable(struct fetch *fetch, size_t queue)
{
    struct trouble_subject *trouble = &fetch->reads[queue].trouble;

    if (trouble->ailing && fetch->recover)
        make_groups(fetch);
    trouble_end(trouble);
}

/* Learns from a reply what can be read. Queues that a blocking read does not mention have nothing. */
static void note_amounts(struct fetch *fetch, const struct fetch_read *read, const redisReply *reply)
{
    const redisReply *entries;
    const char *key;

    for (size_t i = 0; i < fetch->options->queue_count; i++)
        if (read == &fetch->blocking ? roster_count(fetch->roster, i) > 0 : i == read->queue)
            note_readable(fetch, i);
    if (read != &fetch->blocking)
        roster_note_read(fetch->roster, read->queue, read->each, 0);
    for (size_t i = 0; (entries = arrival_stream(reply, i, &key)) != NULL; i++) {
        size_t queue = queue_keys_find(fetch->keys, fetch->options->queue_count, key);

        if (queue < fetch->options->queue_count)
            roster_note_read(fetch->roster, queue, read->each, entries->elements);
    }
}

static void on_read(struct redis_request *request, const redisReply *reply)
{
    struct fetch_read *read = (struct fetch_read *)request;
    struct fetch *fetch = read->fetch;

    fetch->outstanding--;
    fetch->answers++;
    fetch->room += read->asked;
    if (!reply)
        return;
    if (reply_is_error(reply, NULL)) {
        act_on_error(fetch, read, reply);
        fetch->target->wake(fetch->target->user);
        return;
    }
    note_amounts(fetch, read, reply);
    fetch->room -= (int64_t)arrival_count(reply);
    /* Redis reads the next jobs while these are being started. */
    fetch_continue(fetch);
    hand_over(fetch, reply);
    fetch->target->wake(fetch->target->user);
}

/* ---- Reading ---- */

static int64_t read_limit(const struct fetch *fetch)
{
    int64_t limit = fetch->room < READ_MAX ? fetch->room : READ_MAX;
    int64_t likely = arrival_estimate(&fetch->arrival, READ_BYTES_MAX);

    return likely < limit ? likely : limit;
}

static void send_read(struct fetch *fetch, struct fetch_read *read, unsigned each, unsigned asked)
{
    read->request.done = on_read;
    read->fetch = fetch;
    read->each = each;
    read->asked = asked;
    if (redis_send(fetch->redis, &fetch->words, &read->request) < 0)
        return;
    fetch->room -= asked;
    fetch->outstanding++;
}

/* One read for each queue that may have something, all in one write. */
static void read_round(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->options->queue_count; i++) {
        unsigned count = roster_count(fetch->roster, i);

        if (count == 0)
            continue;
        reading_write(&fetch->words, fetch->consumer, &fetch->keys[i], count);
        send_read(fetch, &fetch->reads[i], count, count);
    }
}

/* Waits for the first job of any of several queues. */
static void read_blocking(struct fetch *fetch, int64_t wait_ms)
{
    size_t chosen = 0;
    unsigned each = 0;

    for (size_t i = 0; i < fetch->options->queue_count; i++) {
        if (roster_count(fetch->roster, i) == 0)
            continue;
        each = roster_count(fetch->roster, i);
        chosen++;
    }
    reading_write_blocking(&fetch->words, fetch->consumer, fetch->keys, fetch->options->queue_count, fetch->roster,
                           each, wait_ms);
    send_read(fetch, &fetch->blocking, each, each * (unsigned)chosen);
}

static void read_queues(struct fetch *fetch)
{
    enum roster_plan plan = roster_make_plan(fetch->roster, (unsigned)read_limit(fetch), clock_steady_ms());

    if (plan == ROSTER_NOTHING) {
        fetch->answers++; /* the answer is known without a question */
        set_timer(fetch);
        return;
    }
    if (plan == ROSTER_ROUND)
        read_round(fetch);
    else
        read_blocking(fetch, plan == ROSTER_WAIT ? WAIT_MS : CROWDED_WAIT_MS);
    redis_flush(fetch->redis);
}

/* ---- Recovery ---- */

static void finish_recovery(bool complete, void *user)
{
    struct fetch *fetch = user;

    entry_set_remember(fetch->target->held, false);
    fetch->state = FETCH_READY;
    fetch->recover = !complete;
    fetch->target->wake(fetch->target->user);
}

static void on_found(size_t queue, const redisReply *entries, void *user)
{
    struct fetch *fetch = user;

    fetch->room -= arrival_take_again(&fetch->arrival, queue, entries);
}

static const struct recovery_events recovery_events = {on_found, finish_recovery};

/* Where memory is short, Redis makes no group, not even one that is there already and can be read. */
static void on_group_refused(size_t queue, const redisReply *reply, void *user)
{
    struct fetch *fetch = user;

    if (fetch->groupless || !reply_is_error(reply, "OOM"))
        reading_report(&fetch->reads[queue].trouble, &fetch->keys[queue], reply);
}

static void on_groups_answered(void *user)
{
    struct fetch *fetch = user;

    if (!fetch->recover || fetch->stopped) {
        finish_recovery(true, fetch);
        return;
    }
    fetch->state = FETCH_RECOVERING;
    entry_set_remember(fetch->target->held, true);
    recovery_start(fetch->recovery);
}

static const struct group_events group_events = {on_group_refused, on_groups_answered};

/* ---- For the owner ---- */

void fetch_start(struct fetch *fetch)
{
    fetch->grouped_ms = 0;
    fetch->groupless = false;
    make_groups(fetch);
}

void fetch_interrupt(struct fetch *fetch)
{
    entry_set_remember(fetch->target->held, false);
    fetch->state = FETCH_AWAY;
    fetch->recover = true;
}

void fetch_add_room(struct fetch *fetch, unsigned places)
{
    fetch->room += places;
    if (fetch->outstanding == 0)
        fetch->target->wake(fetch->target->user);
}

void fetch_continue(struct fetch *fetch)
{
    if (fetch->stopped || fetch->outstanding > 0)
        return;
    if (fetch->state == FETCH_READY && fetch->room > 0)
        read_queues(fetch);
    else if (fetch->state == FETCH_GROUPING)
        make_groups(fetch);
}

void fetch_stop(struct fetch *fetch)
{
    fetch->stopped = true;
}

bool fetch_is_reading(const struct fetch *fetch)
{
    return fetch->outstanding > 0 || recovery_is_under_way(fetch->recovery);
}

bool fetch_is_moving(struct fetch *fetch, bool may_read)
{
    bool should_read = may_read && !fetch->stopped && fetch->state != FETCH_AWAY && fetch->room > 0;
    bool reads = fetch_is_reading(fetch) || fetch->answers != fetch->answers_seen;

    fetch->answers_seen = fetch->answers;
    if (!should_read || reads)
        fetch->still_ms = 0;
    else if (fetch->still_ms == 0)
        fetch->still_ms = clock_steady_ms();
    return fetch->still_ms == 0 || clock_steady_ms() - fetch->still_ms <= STILL_MAX_MS;
}

int fetch_new(struct event_base *base, struct redis *redis, const struct queue_options *options,
              const struct queue_keys *keys, const char *consumer, const struct fetch_target *target,
              struct fetch **ret_fetch)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch) + options->queue_count * sizeof(fetch->reads[0]));

    if (!fetch)
        return -ENOMEM;
    fetch->redis = redis;
    fetch->options = options;
    fetch->keys = keys;
    fetch->consumer = consumer;
    fetch->target = target;
    fetch->arrival = (struct arrival){.keys = keys,
                                      .limits = target->limits,
                                      .held = target->held,
                                      .events = target->arrivals,
                                      .user = target->arrivals_user};
    fetch->timer = event_new(base, -1, 0, look_again, fetch);
    if (!fetch->timer || roster_new(options->queues, options->queue_count, &fetch->roster) < 0 ||
        group_maker_new(redis, keys, options->queue_count, &group_events, fetch, &fetch->groups) < 0 ||
        recovery_new(redis, keys, options->queue_count, consumer, &recovery_events, fetch, &fetch->recovery) < 0) {
        fetch_free(fetch);
        return -ENOMEM;
    }
    for (size_t i = 0; i < options->queue_count; i++)
        fetch->reads[i] = (struct fetch_read){.trouble = {.trouble = target->trouble}, .queue = i};
    *ret_fetch = fetch;
    return 0;
}

struct fetch *fetch_free(struct fetch *fetch)
{
    if (!fetch)
        return NULL;
    if (fetch->timer)
        event_free(fetch->timer);
    group_maker_free(fetch->groups);
    recovery_free(fetch->recovery);
    arrival_done(&fetch->arrival);
    words_done(&fetch->words);
    roster_free(fetch->roster);
    free(fetch);
    return NULL;
}
