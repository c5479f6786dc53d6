#include "queue/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/enqueue.h"
#include "queue/fetch.h"
#include "queue/group.h"
#include "queue/release.h"
#include "queue/settle.h"
#include "queue/unblock.h"

#define PROBLEM_SIZE 512

enum client_state {
    CLIENT_RUNNING,
    CLIENT_STOPPING,  /* until what was handed over has been settled */
    CLIENT_RELEASING, /* until the consumer has been deleted */
    CLIENT_RELEASED,
    CLIENT_DRAINED,
};

/* The two connections: `commands` never blocks. */
enum link_role { LINK_COMMANDS, LINK_READS, LINK_COUNT };

struct client_link {
    struct queue_client *client;
    struct redis *redis;
    bool ailing;
};

struct queue_client {
    const struct queue_options *options;
    const struct queue_events *events;
    void *user;
    char *consumer;
    enum client_state state;
    struct queue_keys *keys;
    struct client_link links[LINK_COUNT];
    struct fetch_target target;
    struct message_limits limits;
    struct entry_set held;
    struct fetch *fetch;
    struct settle *settle;
    struct enqueue *enqueue;
    struct group_maker *groups; /* over `commands`, to see that Redis can be written to */
    struct event *turn;         /* the end of this turn of the event loop, at which what was collected is sent */
    bool woken;
    size_t handed_over; /* jobs that have not been settled */
    char problem[PROBLEM_SIZE];
    struct unblock unblock;
    struct release *release;
};

/* ---- The turn ---- */

/* From wherever it is called, in whichever job's context: it is the event loop that does the work, at the root. */
static void wake(void *user)
{
    struct queue_client *client = user;

    if (client->woken)
        return;
    client->woken = true;
    event_active(client->turn, EV_TIMEOUT, 0);
}

static size_t find_queue(const struct queue_client *client, const char *name)
{
    size_t queue = 0;

    while (queue < client->options->queue_count && strcmp(client->options->queues[queue].name, name) != 0)
        queue++;
    return queue;
}

/* ---- What is wrong ---- */

/* Both connections suffer from the same trouble; it is told once, and so is its end. */
static void on_problem(const char *problem, void *user)
{
    struct client_link *link = user;
    struct queue_client *client = link->client;

    link->ailing = problem != NULL;
    if (problem) {
        if (strcmp(problem, client->problem) == 0)
            return;
        snprintf(client->problem, sizeof(client->problem), "%s", problem);
    } else {
        if (client->problem[0] == '\0' || client->links[LINK_COMMANDS].ailing || client->links[LINK_READS].ailing)
            return;
        client->problem[0] = '\0';
    }
    client->events->redis_state(problem, client->user);
}

/* ---- Connections ---- */

static void on_commands_up(void *user)
{
    struct queue_client *client = ((struct client_link *)user)->client;

    if (group_maker_start(client->groups) < 0)
        redis_fail(client->links[LINK_COMMANDS].redis, strerror(ENOMEM));
    wake(client);
}

static void on_commands_down(void *user)
{
    wake(((struct client_link *)user)->client);
}

static void on_reads_up(void *user)
{
    fetch_start(((struct client_link *)user)->client->fetch);
}

static void on_reads_down(void *user)
{
    struct queue_client *client = ((struct client_link *)user)->client;

    fetch_interrupt(client->fetch);
    wake(client);
}

static const struct redis_events link_events[LINK_COUNT] = {
    [LINK_COMMANDS] = {on_commands_up, on_commands_down, on_problem},
    [LINK_READS] = {on_reads_up, on_reads_down, on_problem},
};

/* ---- Arrivals ---- */

/* A record that does not fit into memory stays pending in Redis, and is found again like one that got lost. */
static void ignore_shortage(int r)
{
    (void)r;
}

static void settle_unrun(struct queue_client *client, struct job *job, size_t queue, enum job_outcome outcome)
{
    struct settlement settlement = {.job = job, .outcome = outcome, .due_ms = job->due_ms};

    ignore_shortage(settle_add(client->settle, queue, &settlement));
    job_free(job);
}

static bool on_job(struct job *job, size_t queue, void *user)
{
    struct queue_client *client = user;

    if (job->due_ms > 0) {
        settle_unrun(client, job, queue, JOB_DELAYED);
        return false;
    }
    if (client->state != CLIENT_RUNNING) {
        settle_unrun(client, job, queue, JOB_RETURNED);
        return false;
    }
    client->handed_over++;
    client->events->job(job, client->user);
    return true;
}

static void on_refused(const char *entry, const struct message_refusal *refusal, size_t queue, void *user)
{
    struct queue_client *client = user;
    struct queue_rejection rejection = {
        .id = refusal->id,
        .type = refusal->type[0] ? refusal->type : NULL,
        .queue = client->options->queues[queue].name,
        .reason = refusal->reason,
    };

    ignore_shortage(settle_refuse(client->settle, queue, entry, refusal));
    client->events->rejected(&rejection, client->user);
}

static void on_vanished(const char *entry, size_t queue, void *user)
{
    struct queue_client *client = user;

    ignore_shortage(settle_forget(client->settle, queue, entry));
}

static const struct arrival_events arrival_events = {on_job, on_refused, on_vanished};

static const struct settle_events settle_events = {wake};

/* ---- Stopping ---- */

static void on_released(void *user)
{
    struct queue_client *client = user;

    client->state = CLIENT_RELEASED;
    wake(client);
}

bool queue_client_is_settled(const struct queue_client *client)
{
    return settle_is_empty(client->settle) && enqueue_is_empty(client->enqueue);
}

static bool is_idle(const struct queue_client *client)
{
    return client->handed_over == 0 && !fetch_is_reading(client->fetch) && queue_client_is_settled(client);
}

static void continue_stopping(struct queue_client *client)
{
    if (client->state == CLIENT_STOPPING) {
        unblock_send(&client->unblock);
        if (!is_idle(client))
            return;
        client->state = release_start(client->release) < 0 ? CLIENT_RELEASED : CLIENT_RELEASING;
    }
    if (client->state == CLIENT_RELEASED) {
        client->state = CLIENT_DRAINED;
        client->events->drained(client->user);
    }
}

/* The owner may free the client when it is drained, so nothing follows that. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct queue_client *client = arg;

    (void)fd;
    (void)what;
    client->woken = false;
    settle_flush(client->settle);
    enqueue_flush(client->enqueue);
    redis_flush(client->links[LINK_COMMANDS].redis);
    fetch_continue(client->fetch);
    if (client->state != CLIENT_RUNNING)
        continue_stopping(client);
}

/* ---- For the owner ---- */

void queue_client_add_room(struct queue_client *client, unsigned places)
{
    fetch_add_room(client->fetch, places);
}

int queue_client_settle(struct queue_client *client, const struct settlement *settlement)
{
    size_t queue = find_queue(client, settlement->job->queue);

    if (queue == client->options->queue_count)
        return -EINVAL;
    client->handed_over--;
    wake(client);
    return settle_add(client->settle, queue, settlement);
}

int queue_client_report_running(struct queue_client *client, const struct job *job, int64_t started_ms,
                                const char *progress)
{
    size_t queue = find_queue(client, job->queue);

    if (queue == client->options->queue_count)
        return -EINVAL;
    return settle_report_running(client->settle, queue, job, started_ms, progress);
}

int queue_client_add_subtasks(struct queue_client *client, const struct job *job, unsigned subtasks,
                              unsigned subtasks_failed)
{
    size_t queue = find_queue(client, job->queue);

    if (queue == client->options->queue_count)
        return -EINVAL;
    return settle_add_subtasks(client->settle, queue, job, subtasks, subtasks_failed);
}

int queue_client_enqueue(struct queue_client *client, const struct queue_message *message,
                         void (*done)(int result, const char *text, void *arg), void *arg)
{
    return enqueue_add(client->enqueue, message, done, arg);
}

void queue_client_stop(struct queue_client *client)
{
    if (client->state != CLIENT_RUNNING)
        return;
    client->state = CLIENT_STOPPING;
    fetch_stop(client->fetch);
    wake(client);
}

static int open_link(struct queue_client *client, struct event_base *base, enum link_role role)
{
    struct client_link *link = &client->links[role];

    link->client = client;
    return redis_new(base, client->options, client->consumer, &link_events[role], link, &link->redis);
}

static int make_parts(struct queue_client *client, struct event_base *base)
{
    const struct queue_options *options = client->options;
    struct redis *commands, *reads;
    int r;

    r = queue_keys_new_all(options, &client->keys);
    for (unsigned role = 0; role < LINK_COUNT && r == 0; role++)
        r = open_link(client, base, role);
    commands = client->links[LINK_COMMANDS].redis;
    reads = client->links[LINK_READS].redis;
    if (r == 0)
        r = settle_new(commands, options, client->keys, client->consumer, &client->held, &settle_events, client,
                       &client->settle);
    if (r == 0)
        r = enqueue_new(commands, options->prefix, wake, client, &client->enqueue);
    if (r == 0)
        r = group_maker_new(commands, client->keys, options->queue_count, NULL, NULL, &client->groups);
    if (r == 0)
        r = release_new(commands, client->keys, options->queue_count, client->consumer, on_released, client,
                        &client->release);
    if (r == 0)
        r = fetch_new(base, reads, options, client->keys, client->consumer, &client->target, &client->fetch);
    if (r == 0)
        r = unblock_init(&client->unblock, base, commands, reads, client->fetch);
    return r;
}

int queue_client_new(struct event_base *base, const struct queue_options *options, const char *consumer,
                     const struct queue_events *events, void *user, struct queue_client **ret_client)
{
    struct queue_client *client;
    int r = -ENOMEM;

    if (options->queue_count == 0 || consumer[0] == '\0')
        return -EINVAL;
    client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->options = options;
    client->events = events;
    client->user = user;
    client->limits = (struct message_limits){options->payload_max, events->type_known, user};
    client->target = (struct fetch_target){&client->limits, &client->held, &arrival_events, wake, client};
    client->consumer = strdup(consumer);
    client->turn = event_new(base, -1, 0, on_turn, client);
    if (client->consumer && client->turn)
        r = make_parts(client, base);
    if (r < 0) {
        queue_client_free(client);
        return r;
    }
    *ret_client = client;
    return 0;
}

struct queue_client *queue_client_free(struct queue_client *client)
{
    if (!client)
        return NULL;
    for (unsigned role = 0; role < LINK_COUNT; role++)
        redis_free(client->links[role].redis);
    fetch_free(client->fetch);
    settle_free(client->settle);
    enqueue_free(client->enqueue);
    group_maker_free(client->groups);
    release_free(client->release);
    unblock_done(&client->unblock);
    queue_keys_free_all(client->keys, client->options->queue_count);
    if (client->turn)
        event_free(client->turn);
    entry_set_done(&client->held);
    free(client->consumer);
    free(client);
    return NULL;
}
