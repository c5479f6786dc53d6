#include "queue/consumer/fetch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <weft/log.h>

#include "context/container.h"
#include "context/time.h"
#include "queue/consumer/read_scheduler.h"
#include "queue/consumer/recovery.h"
#include "queue/group.h"

#define READ_FIRST     4                         /* jobs a read at first, and after all queues were empty */
#define READ_MAX       256                       /* jobs a read */
#define READ_BYTES_MAX ((size_t)8 * 1024 * 1024) /* that are likely in a read */
#define WAIT_MS        2000                      /* well below what a connection may be silent for */
#define STILL_MAX_MS   5000                      /* until a fetch that could read and does not is stuck */
#define UNHEALTHY_MS   500                       /* how long a queue that cannot be read is left alone */
#define UNBLOCK_MS     20                        /* until a read that should have ended is tried to be ended again */

/* How long it may take until all jobs of a read have begun to run: below the first, more are read the next time; above
 * the last, so many that it would have been the second. */
#define START_SOON_US 2000
#define START_AIM_US  3000
#define START_LATE_US 5000

/* What is to start within this does not keep the next read from being sent: Redis works on it meanwhile, rather than
 * after the jobs have run, when it gets their outcomes as well. */
#define AHEAD_US 5000

enum fetch_state {
    FETCH_AWAY,       /* no connection */
    FETCH_GROUPING,   /* the consumer groups are being made */
    FETCH_RECOVERING, /* looking for entries that got lost on their way */
    FETCH_READY,
};

struct fetch_read {
    struct connection_request request;
    struct fetch *fetch;
    struct health_subject health; /* of reading the queue */
    size_t queue;                 /* ignored by the read of several */
    unsigned each;                /* COUNT, which goes for each queue */
    unsigned asked;               /* places that are taken for what it brings */
};

struct fetch {
    struct connection *connection;
    const struct queue_options *options;
    const struct queue_keys *keys;
    const char *consumer;
    const struct fetch_target *target;
    struct delivery delivery;
    struct group_maker groups;
    struct recovery recovery;
    struct command command;
    struct event *timer; /* looks again after an unhealthy queue */
    struct call unblock;
    struct event *unblock_timer; /* until it is tried again */
    size_t unblocked;            /* the blocking read that is to end, by its number */

    enum fetch_state state;
    bool stopped;
    bool recover;        /* something may have got lost, with an earlier connection or because memory was short */
    size_t capacity;     /* jobs that may be in this process, or asked for */
    size_t forgiven;     /* jobs in this process that do not count */
    size_t asked;        /* jobs, by the reads under way */
    size_t outstanding;  /* reads under way */
    size_t waits;        /* blocking reads so far */
    bool waiting;        /* the read under way is one that blocks */
    size_t answers;      /* to reads */
    size_t answers_seen; /* by fetch_is_moving() */
    int64_t still_ms;    /* since when it has seen no read; 0: it has */
    int64_t grouped_ms;

    /* What the next read is to bring: as many jobs as are likely to start soon. */
    unsigned size;
    int64_t unstarted;   /* jobs that were handed over and have not begun to run */
    int64_t ahead;       /* so many of them are likely to begin within AHEAD_US */
    size_t arriving;     /* jobs that have come since there was none such when it was looked at last */
    int64_t arrived_us;  /* when the first of them came; 0: none did */
    size_t started;      /* jobs that came before, since the size was last chosen */
    int64_t starting_us; /* how long it took until they had begun to run */

    struct fetch_read together; /* of several queues, blocking or not */
    struct read_scheduler *scheduler;
    struct fetch_read reads[]; /* of each queue by itself */
};

static void set_state(struct fetch *fetch, enum fetch_state state)
{
    static const char *const names[] = {[FETCH_AWAY] = "away",
                                        [FETCH_GROUPING] = "making groups",
                                        [FETCH_RECOVERING] = "recovering",
                                        [FETCH_READY] = "ready"};

    if (state != fetch->state)
        weft_debug("fetch: %s", names[state]);
    fetch->state = state;
}

/* ---- Health ---- */

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
        event_add(fetch->timer, &(struct timeval){.tv_usec = (UNHEALTHY_MS + 10) * 1000});
}

/* Makes the groups, though not again and again without a pause. */
static void make_groups(struct fetch *fetch)
{
    int64_t now_ms = time_steady_ms();

    set_state(fetch, FETCH_GROUPING);
    if (fetch->grouped_ms != 0 && now_ms - fetch->grouped_ms < UNHEALTHY_MS) {
        set_timer(fetch);
        return;
    }
    fetch->grouped_ms = now_ms;
    if (group_maker_start(&fetch->groups) < 0)
        set_timer(fetch);
}

/* Looking for what got lost begins with the groups. Where the last time was a moment ago, fetch_continue() sees to it.
 */
void fetch_recover(struct fetch *fetch)
{
    fetch->recover = true;
    if (fetch->state == FETCH_READY)
        make_groups(fetch);
}

void fetch_leave_alone(struct fetch *fetch, size_t queue)
{
    read_scheduler_leave_alone(fetch->scheduler, queue, time_steady_ms() + UNHEALTHY_MS);
    set_timer(fetch);
}

static void report_unreadable(struct fetch *fetch, size_t queue, const redisReply *reply)
{
    const struct queue_keys *keys = &fetch->keys[queue];

    if (reply_is_error(reply, "WRONGTYPE"))
        health_set_problem(&fetch->reads[queue].health,
                           "does not let us read queue %s: the key %s holds something other than a stream; the queue "
                           "works again once that key is removed",
                           keys->queue, keys->names[QUEUE_KEY_STREAM]);
    else
        health_set_problem(&fetch->reads[queue].health, "does not let us read queue %s: %s", keys->queue, reply->str);
}

static void act_on_error(struct fetch *fetch, const struct fetch_read *read, const redisReply *reply)
{
    if (reply_is_error(reply, "NOGROUP") || reply_is_error(reply, "UNBLOCKED")) {
        make_groups(fetch);
    } else if (read == &fetch->together) {
        /* Which queue it is shows when they are read one by one. */
        read_scheduler_doubt_all(fetch->scheduler);
    } else {
        report_unreadable(fetch, read->queue, reply);
        fetch_leave_alone(fetch, read->queue);
    }
}

/* ---- Replies ---- */

/* Redis answers in the order in which the queues were named: the next one is behind `after`. */
static size_t find_queue(const struct fetch *fetch, const char *key, size_t after)
{
    size_t count = fetch->options->queue_count;
    size_t found = after + queue_keys_find(fetch->keys + after, count - after, key);

    return found < count ? found : queue_keys_find(fetch->keys, count, key);
}

/* Looks how long jobs took from their arrival until they began to run, and the loop came round again. */
static void note_started(struct fetch *fetch)
{
    if (fetch->arrived_us == 0 || fetch->unstarted > 0)
        return;
    int64_t took_us = time_steady_us() - fetch->arrived_us;
    fetch->started += fetch->arriving;
    fetch->starting_us += took_us;
    fetch->ahead = (int64_t)fetch->arriving * AHEAD_US / (took_us > 0 ? took_us : 1);
    fetch->arriving = 0;
    fetch->arrived_us = 0;
}

static void note_arrived(struct fetch *fetch, unsigned places)
{
    note_started(fetch);
    if (places == 0)
        return;
    if (fetch->arrived_us == 0)
        fetch->arrived_us = time_steady_us();
    fetch->unstarted += places;
    fetch->arriving += places;
}

static void recover_missed(struct fetch *fetch)
{
    if (!fetch->delivery.missed)
        return;
    fetch->delivery.missed = false;
    fetch_recover(fetch);
}

static void hand_over(struct fetch *fetch, const redisReply *reply)
{
    const redisReply *entries;
    const char *key;
    size_t after = 0;

    for (size_t i = 0; (entries = delivery_stream(reply, i, &key)) != NULL; i++) {
        size_t queue = find_queue(fetch, key, after);

        if (queue == fetch->options->queue_count)
            continue;
        after = queue;
        note_arrived(fetch, delivery_take_new(&fetch->delivery, queue, entries));
    }
}

/* What could not be recovered from a queue, because it could not be read, can be now. */
static void note_readable(struct fetch *fetch, size_t queue)
{
    struct health_subject *health = &fetch->reads[queue].health;

    if (health->unhealthy && fetch->recover)
        make_groups(fetch);
    health_clear_problem(health);
}

/* Learns from a reply what can be read. Queues that a read of several does not mention have nothing. */
static void note_amounts(struct fetch *fetch, const struct fetch_read *read, const redisReply *reply)
{
    const redisReply *entries;
    const char *key;
    size_t after = 0;

    if (read != &fetch->together) {
        note_readable(fetch, read->queue);
        read_scheduler_note_read(fetch->scheduler, read->queue, read->each, delivery_count(reply));
        return;
    }
    for (size_t i = 0; i < fetch->options->queue_count; i++) {
        if (!read_scheduler_is_chosen(fetch->scheduler, i))
            continue;
        note_readable(fetch, i);
        read_scheduler_note_read(fetch->scheduler, i, read->each, 0);
    }
    for (size_t i = 0; (entries = delivery_stream(reply, i, &key)) != NULL; i++) {
        size_t queue = find_queue(fetch, key, after);

        if (queue == fetch->options->queue_count)
            continue;
        after = queue;
        read_scheduler_note_read(fetch->scheduler, queue, read->each, entries->elements);
    }
}

static void on_read(struct connection_request *request, const redisReply *reply)
{
    struct fetch_read *read = container_of(request, struct fetch_read, request);
    struct fetch *fetch = read->fetch;

    assert(fetch->outstanding > 0 && fetch->asked >= read->asked);
    fetch->outstanding--;
    fetch->answers++;
    fetch->asked -= read->asked;
    if (read == &fetch->together)
        fetch->waiting = false;
    if (!reply)
        return;
    if (reply_is_error(reply, NULL)) {
        act_on_error(fetch, read, reply);
        fetch->target->wake(fetch->target->user);
        return;
    }
    note_amounts(fetch, read, reply);
    hand_over(fetch, reply);
    recover_missed(fetch);
    fetch->target->wake(fetch->target->user);
}

/* ---- How much to read ---- */

/* Twice as much as the last time where all of that began to run soon, and less where it did not. */
static void adjust_size(struct fetch *fetch)
{
    int64_t size = fetch->size;

    if (fetch->started == 0)
        return;
    if (fetch->starting_us > START_LATE_US) {
        size = (int64_t)fetch->started * START_AIM_US / fetch->starting_us;
        size = size < fetch->size / 2 ? size : fetch->size / 2;
    } else if (fetch->starting_us <= START_SOON_US && 2 * fetch->started >= fetch->size) {
        size *= 2;
    }
    fetch->size = (unsigned)(size < 1 ? 1 : size > READ_MAX ? READ_MAX : size);
    fetch->started = 0;
    fetch->starting_us = 0;
}

/* Places that are free. */
static size_t count_free(const struct fetch *fetch)
{
    const struct entry_set *held = fetch->target->held;
    size_t taken = held->count - held->gone + fetch->asked;

    taken -= fetch->forgiven < taken ? fetch->forgiven : taken;
    return taken < fetch->capacity ? fetch->capacity - taken : 0;
}

/* Whether there is room, and what was read and is still to start will soon. */
static bool has_room(const struct fetch *fetch)
{
    return fetch->unstarted <= fetch->ahead && count_free(fetch) > 0 &&
           fetch->target->held->bytes < (size_t)fetch->options->held_max;
}

static struct read_scheduler_room measure_room(const struct fetch *fetch)
{
    size_t bytes_left = (size_t)fetch->options->held_max - fetch->target->held->bytes;
    size_t places = count_free(fetch);
    int64_t bounds[] = {fetch->size, (int64_t)places, delivery_estimate(&fetch->delivery, READ_BYTES_MAX),
                        delivery_estimate(&fetch->delivery, bytes_left)};
    int64_t limit = bounds[0];

    for (size_t i = 1; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        limit = bounds[i] < limit ? bounds[i] : limit;
    return (struct read_scheduler_room){
        .limit = (unsigned)limit, .places = (unsigned)places, .held = fetch->target->held->of_queue};
}

/* ---- Reading ---- */

static void start_read(struct fetch *fetch, unsigned count)
{
    command_start(&fetch->command, "XREADGROUP", "GROUP", QUEUE_GROUP, fetch->consumer, "COUNT", NULL);
    command_add_number(&fetch->command, count);
}

static void send_read(struct fetch *fetch, struct fetch_read *read, unsigned each, size_t asked)
{
    read->request.done = on_read;
    read->fetch = fetch;
    read->each = each;
    read->asked = (unsigned)asked;
    if (connection_send(fetch->connection, &fetch->command, &read->request) < 0)
        return;
    fetch->asked += asked;
    fetch->outstanding++;
}

/* `wait_ms` above 0: waits for so long for the first job of any of them.
 *
 * Where a read of several queues may bring one job of each, it takes no more places than there are: most of them have
 * nothing. */
static void read_together(struct fetch *fetch, int64_t wait_ms, size_t places)
{
    unsigned each = read_scheduler_each(fetch->scheduler);
    size_t chosen = read_scheduler_chosen(fetch->scheduler), asked = each * chosen;
    struct command *command = &fetch->command;

    start_read(fetch, each);
    if (wait_ms > 0) {
        command_add_text(command, "BLOCK");
        command_add_number(command, wait_ms);
    }
    command_add_text(command, "STREAMS");
    for (size_t i = 0; i < fetch->options->queue_count; i++)
        if (read_scheduler_is_chosen(fetch->scheduler, i))
            command_add_text(command, fetch->keys[i].names[QUEUE_KEY_STREAM]);
    for (size_t i = 0; i < chosen; i++)
        command_add_text(command, ">");
    fetch->waiting = wait_ms > 0;
    send_read(fetch, &fetch->together, each, asked < places ? asked : places);
}

/* One read for each queue that is likely to have something, and one of others that may have, all in one write. What is
 * found in those comes first: it has been waiting for longer. */
static void read_round(struct fetch *fetch)
{
    if (read_scheduler_chosen(fetch->scheduler) > 0)
        read_together(fetch, 0, count_free(fetch));
    for (size_t i = 0; i < fetch->options->queue_count; i++) {
        unsigned count = read_scheduler_count(fetch->scheduler, i);

        if (count == 0)
            continue;
        start_read(fetch, count);
        command_add_text(&fetch->command, "STREAMS");
        command_add_text(&fetch->command, fetch->keys[i].names[QUEUE_KEY_STREAM]);
        command_add_text(&fetch->command, ">");
        send_read(fetch, &fetch->reads[i], count, count);
    }
}

static void read_queues(struct fetch *fetch)
{
    struct read_scheduler_room room;

    adjust_size(fetch);
    /* What comes next may be of quite another kind. */
    if (read_scheduler_is_idle(fetch->scheduler)) {
        fetch->size = fetch->size < READ_FIRST ? fetch->size : READ_FIRST;
        fetch->ahead = 0;
    }
    room = measure_room(fetch);
    switch (read_scheduler_make_plan(fetch->scheduler, &room, time_steady_ms())) {
    case READ_NOTHING:
        fetch->answers++; /* the answer is known without a question */
        set_timer(fetch);
        return;
    case READ_ROUND:
        read_round(fetch);
        break;
    case READ_WAIT:
        fetch->waits++;
        read_together(fetch, WAIT_MS, room.places);
        break;
    }
    connection_flush(fetch->connection);
}

/* ---- Recovery ---- */

static void finish_recovery(bool complete, void *user)
{
    struct fetch *fetch = user;

    entry_set_remember(fetch->target->held, false);
    set_state(fetch, FETCH_READY);
    fetch->recover = !complete;
    recover_missed(fetch);
    fetch->target->wake(fetch->target->user);
}

static void on_found(size_t queue, const redisReply *entries, void *user)
{
    struct fetch *fetch = user;

    note_arrived(fetch, delivery_take_again(&fetch->delivery, queue, entries));
}

static const struct recovery_events recovery_events = {on_found, finish_recovery};

static void on_group_refused(size_t queue, const redisReply *reply, void *user)
{
    struct fetch *fetch = user;

    report_unreadable(fetch, queue, reply);
}

static void on_groups_answered(void *user)
{
    struct fetch *fetch = user;

    if (!fetch->recover || fetch->stopped) {
        finish_recovery(true, fetch);
        return;
    }
    set_state(fetch, FETCH_RECOVERING);
    entry_set_remember(fetch->target->held, true);
    recovery_start(&fetch->recovery);
}

static const struct group_events group_events = {on_group_refused, on_groups_answered};

/* ---- Ending a blocking read ---- */

static int write_unblock(struct call *call)
{
    struct fetch *fetch = container_of(call, struct fetch, unblock);

    command_start(&fetch->command, "CLIENT", "UNBLOCK", NULL);
    command_add_number(&fetch->command, connection_client_id(fetch->connection));
    return 0;
}

/* The first try may come before the read has reached Redis. */
static void on_unblocked(struct call *call, const redisReply *reply)
{
    struct fetch *fetch = container_of(call, struct fetch, unblock);

    if (reply && fetch_is_reading(fetch) && fetch->waits == fetch->unblocked)
        event_add(fetch->unblock_timer, &(struct timeval){.tv_usec = UNBLOCK_MS * 1000});
}

static const struct call_kind unblock_call = {.write = write_unblock, .done = on_unblocked};

void fetch_unblock(struct fetch *fetch)
{
    if (fetch->unblock.under_way || connection_client_id(fetch->connection) == 0 || !fetch_is_reading(fetch))
        return;
    fetch->unblocked = fetch->waits;
    (void)!call_send(&fetch->unblock, &unblock_call, fetch->target->commands, &fetch->command);
}

static void unblock_again(evutil_socket_t fd, short what, void *arg)
{
    struct fetch *fetch = arg;

    (void)fd;
    (void)what;
    if (fetch->waits == fetch->unblocked)
        fetch_unblock(fetch);
}

/* ---- For the owner ---- */

void fetch_start(struct fetch *fetch)
{
    fetch->grouped_ms = 0;
    make_groups(fetch);
}

void fetch_interrupt(struct fetch *fetch)
{
    entry_set_remember(fetch->target->held, false);
    set_state(fetch, FETCH_AWAY);
    fetch->recover = true;
}

void fetch_set_capacity(struct fetch *fetch, unsigned jobs)
{
    fetch->capacity = jobs;
    fetch->target->wake(fetch->target->user);
}

void fetch_forgive(struct fetch *fetch, size_t jobs)
{
    fetch->forgiven = jobs;
}

void fetch_note_started(struct fetch *fetch)
{
    fetch->unstarted--;
    if (fetch->unstarted == 0 || fetch->unstarted == fetch->ahead)
        fetch->target->wake(fetch->target->user);
}

void fetch_note_starting(struct fetch *fetch)
{
    fetch->unstarted++;
}

void fetch_continue(struct fetch *fetch)
{
    note_started(fetch);
    if (fetch->stopped || fetch->outstanding > 0)
        return;
    if (fetch->state == FETCH_READY && has_room(fetch))
        read_queues(fetch);
    else if (fetch->state == FETCH_GROUPING)
        make_groups(fetch);
}

bool fetch_is_blocked(const struct fetch *fetch)
{
    struct read_scheduler_room room;

    if (!fetch->waiting || fetch->stopped)
        return false;
    room = (struct read_scheduler_room){.places = (unsigned)(count_free(fetch) + fetch->asked),
                                        .held = fetch->target->held->of_queue};
    return room.places > 0 && read_scheduler_misses(fetch->scheduler, &room, time_steady_ms());
}

void fetch_stop(struct fetch *fetch)
{
    fetch->stopped = true;
}

bool fetch_is_reading(const struct fetch *fetch)
{
    return fetch->outstanding > 0 || recovery_is_under_way(&fetch->recovery);
}

bool fetch_is_moving(struct fetch *fetch, bool may_read)
{
    bool should_read = may_read && !fetch->stopped && fetch->state != FETCH_AWAY && has_room(fetch);
    bool reads = fetch_is_reading(fetch) || fetch->answers != fetch->answers_seen;

    fetch->answers_seen = fetch->answers;
    if (!should_read || reads)
        fetch->still_ms = 0;
    else if (fetch->still_ms == 0)
        fetch->still_ms = time_steady_ms();
    return fetch->still_ms == 0 || time_steady_ms() - fetch->still_ms <= STILL_MAX_MS;
}

/* Any of them, but each consumer begins with another one. */
static size_t first_queue(const struct queue_options *options, const char *consumer)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *consumer; consumer++)
        hash = (hash ^ (unsigned char)*consumer) * UINT64_C(0x100000001b3);
    return (size_t)((hash >> 32) % options->queue_count);
}

int fetch_new(const struct queue_link *link, const struct fetch_target *target, struct fetch **ret_fetch)
{
    const struct queue_options *options = link->options;
    struct fetch *fetch = calloc(1, sizeof(*fetch) + options->queue_count * sizeof(fetch->reads[0]));

    if (!fetch)
        return -ENOMEM;
    fetch->connection = link->connection;
    fetch->options = options;
    fetch->keys = link->keys;
    fetch->consumer = link->consumer;
    fetch->target = target;
    fetch->size = READ_FIRST;
    fetch->delivery = (struct delivery){.keys = link->keys,
                                        .limits = target->limits,
                                        .held = target->held,
                                        .events = target->delivery_events,
                                        .user = target->delivery_user};
    size_t first = first_queue(options, link->consumer);
    fetch->timer = event_new(link->base, -1, 0, look_again, fetch);
    fetch->unblock_timer = event_new(link->base, -1, 0, unblock_again, fetch);
    if (!fetch->timer || !fetch->unblock_timer ||
        read_scheduler_new(options->queues, options->queue_count, first, &fetch->scheduler) < 0 ||
        group_maker_init(&fetch->groups, link, &group_events, fetch) < 0 ||
        recovery_init(&fetch->recovery, link, &recovery_events, fetch) < 0) {
        fetch_free(fetch);
        return -ENOMEM;
    }
    for (size_t i = 0; i < options->queue_count; i++)
        fetch->reads[i] = (struct fetch_read){.health = {.health = link->health}, .queue = i};
    *ret_fetch = fetch;
    return 0;
}

struct fetch *fetch_free(struct fetch *fetch)
{
    if (!fetch)
        return NULL;
    if (fetch->timer)
        event_free(fetch->timer);
    if (fetch->unblock_timer)
        event_free(fetch->unblock_timer);
    group_maker_done(&fetch->groups);
    recovery_done(&fetch->recovery);
    delivery_done(&fetch->delivery);
    command_done(&fetch->command);
    read_scheduler_free(fetch->scheduler);
    free(fetch);
    return NULL;
}
