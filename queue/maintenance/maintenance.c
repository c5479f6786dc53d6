#include "queue/maintenance/maintenance.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/container.h"
#include "context/time.h"
#include "queue/consumer_name.h"
#include "queue/group.h"
#include "queue/maintenance/backlog.h"
#include "queue/maintenance/reaper.h"
#include "queue/maintenance/sample.h"
#include "queue/maintenance/unread.h"
#include "queue/redis/call.h"
#include "queue/redis/connection.h"
#include "queue/settle/settle.h"

#define LOOK_PERIOD_MS 250 /* at the longest, for jobs that others have delayed meanwhile */
#define LOOK_AGAIN_MS  1   /* at the shortest, for what is to come due */
#define DUE_MAX        32  /* queues that a look is told of, as promote.lua has it */
#define DUE_NAME_SIZE  256

/* Queues that are looked at whatever Redis says is due: all of them at first, then one a look. */
#define SWEEP_FIRST 64

/* A queue that has delayed jobs, and when the first of them is due, by Redis's clock (ms). */
struct promotion_due {
    char queue[DUE_NAME_SIZE];
    int64_t due_ms;
};

struct promotion {
    struct call call;
    struct health_subject health;
    const char *asked[DUE_MAX + SWEEP_FIRST]; /* the queues of the call under way, borrowed; */
    size_t asked_count;
    struct queue_keys keys[DUE_MAX + SWEEP_FIRST]; /* theirs */
    size_t keys_made;
    char unhealthy[DUE_NAME_SIZE]; /* the queue that the problem is about; "": none, or the set of those that are due */
    size_t unhealthy_asked;        /* its place in the call under way, counted from 1; 0: it is not in it */
    struct promotion_due due[DUE_MAX]; /* by Redis's last answer, the first that are due */
    size_t due_count;
    size_t turn;           /* which of those that are due comes first in the next call */
    int64_t redis_ms;      /* Redis's clock at that answer, */
    int64_t answered_ms;   /* and ours, which is steady */
    size_t swept;          /* the queue at which the sweep goes on */
    size_t to_sweep;       /* queues that have not been swept since the connection is up */
    int64_t last_sweep_ms; /* steady */
};

struct maintenance {
    const struct queue_options *options;
    const struct maintenance_events *events;
    void *user;
    struct queue_keys *keys;
    struct health health;
    struct connection *connection;
    struct group_maker groups;
    struct event *timer; /* the next look at the delayed jobs */
    struct command command;
    bool met; /* the first round trip has succeeded */
    bool up;  /* and the groups are there */
    bool memory_full;
    struct promotion promotion;
    struct backlog *backlog;
    struct reaper *reaper;
    struct settle *settle;
    struct sampler *sampler;
    struct unread *unread;             /* NULL: nobody wants to know */
    struct entry_set held;             /* nothing: what is settled here was given to others */
    char consumer[CONSUMER_NAME_SIZE]; /* gets an entry whose outcome Redis refuses, until it takes it */
};

static void look_in(struct maintenance *maintenance, int64_t ms)
{
    struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(maintenance->timer, &time);
}

/* ---- Promoting ---- */

/* Gives when to look again: at once where more is due, or was left for the next look. */
static int64_t time_until_due(const struct promotion *promotion)
{
    int64_t waiting_ms = LOOK_PERIOD_MS;

    if (promotion->to_sweep > 0)
        return 0;
    if (promotion->due_count > 0)
        waiting_ms = promotion->due[0].due_ms - promotion->redis_ms;
    if (waiting_ms <= 0)
        return 0;
    if (waiting_ms > LOOK_PERIOD_MS)
        return LOOK_PERIOD_MS;
    return waiting_ms > LOOK_AGAIN_MS ? waiting_ms : LOOK_AGAIN_MS;
}

/* What cannot be the name of a queue is none. */
static void read_due(struct promotion *promotion, const redisReply *names)
{
    promotion->due_count = 0;
    for (size_t i = 0; i + 1 < names->elements && promotion->due_count < DUE_MAX; i += 2) {
        const redisReply *name = names->element[i], *due = names->element[i + 1];
        struct promotion_due *next = &promotion->due[promotion->due_count];

        if (!name->str || !due->str || name->len == 0 || (size_t)name->len >= sizeof(next->queue))
            continue;
        memcpy(next->queue, name->str, (size_t)name->len + 1);
        next->due_ms = (int64_t)strtod(due->str, NULL);
        promotion->due_count++;
    }
}

static void note_memory(struct maintenance *maintenance, bool full)
{
    if (full == maintenance->memory_full)
        return;
    maintenance->memory_full = full;
    if (maintenance->events->memory_full)
        maintenance->events->memory_full(full, maintenance->user);
}

/* Gives when to look again. A queue that is not well is looked at only now and then; meanwhile it is not well again. */
static int64_t note_promoted(struct maintenance *maintenance, const redisReply *reply)
{
    struct promotion *promotion = &maintenance->promotion;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 6 || !reply->element[0]->str ||
        !reply->element[1]->str || reply->element[2]->type != REDIS_REPLY_ARRAY || !reply->element[3]->str ||
        reply->element[4]->type != REDIS_REPLY_INTEGER || reply->element[5]->type != REDIS_REPLY_INTEGER)
        return LOOK_PERIOD_MS;
    promotion->redis_ms = strtoll(reply->element[0]->str, NULL, 10);
    promotion->answered_ms = time_steady_ms();
    read_due(promotion, reply->element[2]);
    note_memory(maintenance, reply->element[5]->integer == 1);
    const char *problem = reply->element[1]->str;
    size_t looked = (size_t)reply->element[4]->integer;
    if (problem[0]) {
        snprintf(promotion->unhealthy, sizeof(promotion->unhealthy), "%s", reply->element[3]->str);
        health_set_problem(&promotion->health, "does not let us run a delayed job that is due: %s", problem);
    } else if (!promotion->unhealthy[0] || (promotion->unhealthy_asked > 0 && promotion->unhealthy_asked <= looked)) {
        promotion->unhealthy[0] = '\0';
        health_clear_problem(&promotion->health);
    }
    return time_until_due(promotion);
}

static void free_promotion_keys(struct promotion *promotion)
{
    while (promotion->keys_made > 0)
        queue_keys_done(&promotion->keys[--promotion->keys_made]);
}

static void on_promoted(struct call *call, const redisReply *reply)
{
    struct maintenance *maintenance = container_of(call, struct maintenance, promotion.call);
    struct promotion *promotion = &maintenance->promotion;
    int64_t again_ms = LOOK_PERIOD_MS;

    free_promotion_keys(promotion);
    if (reply && !reply_is_error(reply, NULL))
        again_ms = note_promoted(maintenance, reply);
    else if (reply)
        health_set_problem(&promotion->health, "does not let us look after the queues: %s", reply->str);
    look_in(maintenance, again_ms);
}

/* Those that come from Redis may be any of the prefix, also such as this node does not serve: somebody has to promote
 * their jobs. In turns, so that one with very many jobs does not hold up those behind it. */
static void choose_due(struct promotion *promotion)
{
    int64_t now_ms = promotion->redis_ms + time_steady_ms() - promotion->answered_ms; /* by Redis's clock */
    size_t count = 0;

    while (count < promotion->due_count && promotion->due[count].due_ms <= now_ms)
        count++;
    for (size_t i = 0; i < count; i++)
        promotion->asked[promotion->asked_count++] = promotion->due[(promotion->turn + i) % count].queue;
    promotion->turn++;
}

static void choose_swept(struct promotion *promotion, const struct queue_options *options)
{
    int64_t now_ms = time_steady_ms();
    size_t count = 0;

    if (promotion->to_sweep > 0)
        count = promotion->to_sweep < SWEEP_FIRST ? promotion->to_sweep : SWEEP_FIRST;
    else if (now_ms - promotion->last_sweep_ms >= LOOK_PERIOD_MS)
        count = 1;
    if (count > 0)
        promotion->last_sweep_ms = now_ms;
    promotion->to_sweep -= promotion->to_sweep > 0 ? count : 0;
    for (size_t i = 0; i < count; i++) {
        promotion->asked[promotion->asked_count++] = options->queues[promotion->swept].name;
        promotion->swept = (promotion->swept + 1) % options->queue_count;
    }
}

static int make_promotion_keys(struct maintenance *maintenance)
{
    struct promotion *promotion = &maintenance->promotion;

    for (; promotion->keys_made < promotion->asked_count; promotion->keys_made++) {
        int r = queue_keys_init(&promotion->keys[promotion->keys_made], maintenance->options->prefix,
                                promotion->asked[promotion->keys_made]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int write_promotion(struct call *call)
{
    const struct maintenance *maintenance = container_of(call, struct maintenance, promotion.call);
    const struct promotion *promotion = &maintenance->promotion;
    const struct queue_keys *shared = &maintenance->keys[0];
    struct command *command = call_start(call, 1 + promotion->asked_count * QUEUE_KEY_COUNT);

    command_add(command, shared->names[QUEUE_KEY_DUE], shared->sizes[QUEUE_KEY_DUE]);
    for (size_t i = 0; i < promotion->asked_count; i++)
        command_add_queue(command, &promotion->keys[i]);
    command_add_number(command, QUEUE_KEY_COUNT);
    for (size_t i = 0; i < promotion->asked_count; i++)
        command_add_text(command, promotion->asked[i]);
    return 0;
}

static const struct call_kind promote_call = {
    .script = &queue_script_promote, .write = write_promotion, .done = on_promoted};

static void promote(struct maintenance *maintenance)
{
    struct promotion *promotion = &maintenance->promotion;

    if (!maintenance->up || promotion->call.under_way)
        return;
    promotion->asked_count = 0;
    choose_due(promotion);
    choose_swept(promotion, maintenance->options);
    promotion->unhealthy_asked = 0;
    for (size_t i = 0; promotion->unhealthy[0] && promotion->unhealthy_asked == 0 && i < promotion->asked_count; i++)
        if (strcmp(promotion->asked[i], promotion->unhealthy) == 0)
            promotion->unhealthy_asked = i + 1;
    bool sent = make_promotion_keys(maintenance) == 0 &&
                call_send(&promotion->call, &promote_call, maintenance->connection, &maintenance->command) == 0;
    if (!sent) {
        free_promotion_keys(promotion);
        look_in(maintenance, LOOK_PERIOD_MS);
    }
}

/* ---- What dead workers leave ---- */

/* In this order, so that what is settled does not go back to its queue with what others held. An outcome that Redis
 * refuses holds nobody up: its entry has been moved to a consumer of our own. */
static void tidy(struct maintenance *maintenance)
{
    if (!maintenance->up)
        return;
    settle_flush(maintenance->settle);
    for (size_t i = 0; i < maintenance->options->queue_count; i++)
        if (settle_has_tried(maintenance->settle, i))
            backlog_flush(maintenance->backlog, i);
}

int maintenance_reclaim(struct maintenance *maintenance, const char *consumer)
{
    int r = backlog_add_everywhere(maintenance->backlog, consumer, RECLAIM_ASKED, 0);

    reaper_note_gone(maintenance->reaper, consumer);
    tidy(maintenance);
    return r;
}

int maintenance_settle(struct maintenance *maintenance, const struct settlement *settlement)
{
    for (size_t i = 0; i < maintenance->options->queue_count; i++)
        if (strcmp(maintenance->options->queues[i].name, settlement->job->queue) == 0)
            return settle_add(maintenance->settle, i, settlement);
    return -EINVAL;
}

bool maintenance_is_idle(const struct maintenance *maintenance)
{
    return settle_is_empty(maintenance->settle) && backlog_is_empty(maintenance->backlog);
}

void maintenance_sample(struct maintenance *maintenance, size_t queues)
{
    if (maintenance->up)
        sampler_ask(maintenance->sampler, queues);
}

static void on_settling(void *user)
{
    look_in(user, 0);
}

/* ---- The connection ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct maintenance *maintenance = arg;

    (void)fd;
    (void)what;
    tidy(maintenance);
    promote(maintenance);
}

static void on_groups_made(void *user)
{
    struct maintenance *maintenance = user;

    maintenance->up = true;
    if (!maintenance->met) {
        maintenance->met = true;
        maintenance->events->ready(maintenance->user);
    }
    reaper_start(maintenance->reaper);
    if (maintenance->unread)
        unread_start(maintenance->unread);
    maintenance->promotion.to_sweep = maintenance->options->queue_count;
    maintenance->promotion.due_count = 0;
    look_in(maintenance, 0);
}

static void on_up(void *user)
{
    struct maintenance *maintenance = user;

    if (group_maker_start(&maintenance->groups) < 0)
        connection_fail(maintenance->connection, strerror(ENOMEM));
}

static void on_down(void *user)
{
    struct maintenance *maintenance = user;

    maintenance->up = false;
}

static const struct group_events group_events = {.answered = on_groups_made};
static const struct connection_events connection_events = {on_up, on_down};

static int make_parts(struct maintenance *maintenance, struct queue_link *link)
{
    const struct queue_options *options = maintenance->options;
    int r =
        consumer_format(maintenance->consumer, sizeof(maintenance->consumer), options->node, 0, 0, getpid(), getpid());

    if (r == 0)
        r = queue_keys_new_all(options, &maintenance->keys);
    if (r == 0)
        r = connection_new(link->base, options, "weft-maintenance", link->health, &connection_events, maintenance,
                           &maintenance->connection);
    link->connection = maintenance->connection;
    link->keys = maintenance->keys;
    if (r == 0)
        r = group_maker_init(&maintenance->groups, link, &group_events, maintenance);
    if (r == 0)
        r = settle_new(
            &(struct settle_setup){.link = *link, .held = &maintenance->held, .wake = on_settling, .user = maintenance},
            &maintenance->settle);
    if (r == 0)
        r = backlog_new(link, maintenance->events, maintenance->user, &maintenance->backlog);
    if (r == 0)
        r = sampler_new(link, maintenance->events->sampled, maintenance->user, &maintenance->sampler);
    if (r == 0)
        r = reaper_new(link, maintenance->backlog, &maintenance->reaper);
    if (r == 0 && maintenance->events->unread)
        r = unread_new(link, maintenance->events, maintenance->user, &maintenance->unread);
    return r;
}

int maintenance_new(struct event_base *base, const struct queue_options *options,
                    const struct maintenance_events *events, void *user, struct maintenance **ret_maintenance)
{
    struct maintenance *maintenance;
    int r = -ENOMEM;

    if (options->queue_count == 0)
        return -EINVAL;
    maintenance = calloc(1, sizeof(*maintenance));
    if (!maintenance)
        return -ENOMEM;
    maintenance->options = options;
    maintenance->events = events;
    maintenance->user = user;
    health_init(&maintenance->health, options, events->redis_state, user);
    maintenance->promotion.health.health = &maintenance->health;
    maintenance->timer = event_new(base, -1, 0, on_timer, maintenance);
    if (maintenance->timer)
        r = make_parts(maintenance, &(struct queue_link){.base = base,
                                                         .options = options,
                                                         .consumer = maintenance->consumer,
                                                         .health = &maintenance->health});
    if (r < 0) {
        maintenance_free(maintenance);
        return r;
    }
    *ret_maintenance = maintenance;
    return 0;
}

struct maintenance *maintenance_free(struct maintenance *maintenance)
{
    if (!maintenance)
        return NULL;
    connection_free(maintenance->connection);
    group_maker_done(&maintenance->groups);
    reaper_free(maintenance->reaper);
    backlog_free(maintenance->backlog);
    settle_free(maintenance->settle);
    sampler_free(maintenance->sampler);
    unread_free(maintenance->unread);
    free_promotion_keys(&maintenance->promotion);
    queue_keys_free_all(maintenance->keys, maintenance->options->queue_count);
    if (maintenance->timer)
        event_free(maintenance->timer);
    command_done(&maintenance->command);
    free(maintenance);
    return NULL;
}
