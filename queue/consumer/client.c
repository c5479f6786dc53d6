#include "queue/consumer/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/consumer/control.h"
#include "queue/consumer/delivery.h"
#include "queue/consumer/enqueue.h"
#include "queue/consumer/fetch.h"
#include "queue/consumer/hasten.h"
#include "queue/consumer/ownership.h"
#include "queue/consumer/uniqueness.h"
#include "queue/group.h"
#include "queue/lease.h"
#include "queue/settle/settle.h"

enum client_state {
    CLIENT_RUNNING,
    CLIENT_STOPPING,  /* until what was handed over has been settled */
    CLIENT_RELEASING, /* until the consumer has been deleted */
    CLIENT_RELEASED,
    CLIENT_DRAINED,
};

struct named_queue {
    const char *name;
    size_t queue; /* its number */
};

struct queue_client {
    const struct queue_options *options;
    const struct queue_events *events;
    void *user;
    char *consumer;
    enum client_state state;
    struct queue_keys *keys;
    struct named_queue *by_name;
    struct health health;
    struct connection *commands; /* never blocks */
    struct connection *reads;
    struct delivery_receiver receiver;
    struct fetch_target target;
    struct message_limits limits;
    struct entry_set held;
    struct fetch *fetch;
    struct settle *settle;
    struct enqueue *enqueue;
    struct uniqueness *uniqueness;
    struct control *control;
    struct lease *lease;
    struct ownership *ownership;
    struct hasten *hasten;
    struct group_maker groups; /* over `commands`, to see that Redis can be written to */
    struct event *turn;        /* the end of this turn of the event loop, at which what was collected is sent */
    bool woken;
    struct group_leaver leaver;
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

static int compare_queues(const void *one, const void *other)
{
    return strcmp(((const struct named_queue *)one)->name, ((const struct named_queue *)other)->name);
}

static size_t find_queue(const struct queue_client *client, const char *name)
{
    const struct named_queue key = {.name = name};
    const struct named_queue *found =
        bsearch(&key, client->by_name, client->options->queue_count, sizeof(key), compare_queues);

    return found ? found->queue : client->options->queue_count;
}

static int sort_queues(struct queue_client *client)
{
    client->by_name = calloc(client->options->queue_count, sizeof(*client->by_name));
    if (!client->by_name)
        return -ENOMEM;
    for (size_t i = 0; i < client->options->queue_count; i++)
        client->by_name[i] = (struct named_queue){client->options->queues[i].name, i};
    qsort(client->by_name, client->options->queue_count, sizeof(*client->by_name), compare_queues);
    return 0;
}

/* ---- Connections ---- */

static void on_commands_up(void *user)
{
    struct queue_client *client = user;

    if (group_maker_start(&client->groups) < 0)
        connection_fail(client->commands, strerror(ENOMEM));
    control_start(client->control);
    lease_start(client->lease);
    wake(client);
}

static void on_commands_down(void *user)
{
    struct queue_client *client = user;

    control_stop(client->control);
    wake(client);
}

static void on_reads_up(void *user)
{
    struct queue_client *client = user;

    fetch_start(client->fetch);
}

static void on_reads_down(void *user)
{
    struct queue_client *client = user;

    fetch_interrupt(client->fetch);
    wake(client);
}

/* What is wrong with a queue's group shows when it is read. */
static const struct group_events group_events = {0};
static const struct connection_events commands_events = {on_commands_up, on_commands_down};
static const struct connection_events reads_events = {on_reads_up, on_reads_down};

/* ---- Cancelling, inquiries ---- */

static void on_cancelled(size_t queue, const char *id, void *user)
{
    struct queue_client *client = user;

    client->events->cancelled(client->options->queues[queue].name, id, client->user);
}

static void on_inquired(const struct queue_inquiry *inquiry, void *user)
{
    struct queue_client *client = user;

    if (client->events->inquired)
        client->events->inquired(inquiry, client->user);
}

static const struct control_events control_events = {on_cancelled, wake, on_inquired};

/* ---- Losing ---- */

static void on_doubt(void *user)
{
    struct queue_client *client = user;

    ownership_check(client->ownership);
}

static void on_lost(size_t queue, const char *entry, void *user)
{
    struct queue_client *client = user;

    client->events->lost(client->options->queues[queue].name, entry, client->user);
}

/* ---- Unique keys ---- */

/* An entry whose outcome is lost counts as never received. */
static void run_again(struct queue_client *client, size_t queue, struct entry_id id)
{
    entry_set_remove(&client->held, queue, id);
    fetch_recover(client->fetch);
}

/* A job that waits for Redis's answer does not keep others from being fetched. */
static int on_unsure(struct job *job, size_t queue, void *user)
{
    struct queue_client *client = user;
    int r = uniqueness_ask(client->uniqueness, queue, job);

    if (r < 0)
        return r;
    fetch_note_started(client->fetch);
    return 1;
}

static void on_gone(struct job *job, size_t queue, void *user)
{
    struct queue_client *client = user;
    struct entry_id id;

    if (!ownership_take(client->ownership, queue, job->entry) && entry_id_parse(job->entry, &id) == 0)
        entry_set_remove(&client->held, queue, id);
    job_free(job);
}

static void on_answered(struct job *job, size_t queue, const char *first, void *user)
{
    struct queue_client *client = user;
    struct entry_id id;

    if (ownership_take(client->ownership, queue, job->entry)) {
        job_free(job);
        return;
    }
    int parsed = entry_id_parse(job->entry, &id);
    job->unique_held = !first;
    fetch_note_starting(client->fetch);
    int r = delivery_receive(&client->receiver, queue, job, first);
    if (r != 1)
        fetch_note_started(client->fetch);
    if (r < 0 && parsed == 0)
        run_again(client, queue, id);
}

static const struct uniqueness_events uniqueness_events = {on_answered, on_gone, wake};

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

size_t queue_client_count_unsettled(const struct queue_client *client)
{
    return settle_count(client->settle);
}

static void continue_stopping(struct queue_client *client)
{
    if (client->state == CLIENT_STOPPING) {
        fetch_unblock(client->fetch);
        if (client->receiver.handed_over > 0 || fetch_is_reading(client->fetch) ||
            !uniqueness_is_empty(client->uniqueness) || !queue_client_is_settled(client))
            return;
        lease_stop(client->lease);
        client->state = group_leaver_start(&client->leaver) < 0 ? CLIENT_RELEASED : CLIENT_RELEASING;
    }
    if (client->state == CLIENT_RELEASED) {
        client->state = CLIENT_DRAINED;
        client->events->drained(client->user);
    }
}

/* Outcomes that Redis does not take for now must not keep other queues from being read. */
static void continue_fetching(struct queue_client *client)
{
    size_t kept = settle_count_kept(client->settle);

    for (size_t i = 0; kept > 0 && i < client->options->queue_count; i++)
        if (settle_is_clogged(client->settle, i))
            fetch_leave_alone(client->fetch, i);
    fetch_forgive(client->fetch, kept);
    if (control_is_known(client->control))
        fetch_continue(client->fetch);
    if (fetch_is_blocked(client->fetch))
        fetch_unblock(client->fetch);
}

/* The next read is sent before the outcomes of the last: Redis works on the read, and then on the outcomes while the
 * jobs run that the read has brought.
 *
 * The owner may free the client when it is drained, so nothing follows that. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct queue_client *client = arg;

    (void)fd;
    (void)what;
    client->woken = false;
    continue_fetching(client);
    uniqueness_flush(client->uniqueness);
    settle_flush(client->settle);
    hasten_flush(client->hasten);
    enqueue_flush(client->enqueue);
    connection_flush(client->commands);
    if (client->state != CLIENT_RUNNING)
        continue_stopping(client);
}

/* ---- For the owner ---- */

void queue_client_set_capacity(struct queue_client *client, unsigned jobs)
{
    fetch_set_capacity(client->fetch, jobs);
}

void queue_client_note_started(struct queue_client *client)
{
    fetch_note_started(client->fetch);
}

void queue_client_note_starting(struct queue_client *client)
{
    fetch_note_starting(client->fetch);
}

int queue_client_settle(struct queue_client *client, const struct settlement *settlement)
{
    size_t queue = find_queue(client, settlement->job->queue);

    if (queue == client->options->queue_count)
        return -EINVAL;
    client->receiver.handed_over--;
    wake(client);
    if (ownership_take(client->ownership, queue, settlement->job->entry))
        return 0;
    int r = settle_add(client->settle, queue, settlement);
    struct entry_id id;

    if (r < 0 && entry_id_parse(settlement->job->entry, &id) == 0)
        run_again(client, queue, id);
    return r;
}

int queue_client_hasten(struct queue_client *client, const char *queue, const char *id, const char *entry,
                        int64_t due_ms)
{
    size_t number = find_queue(client, queue);

    if (number == client->options->queue_count)
        return -EINVAL;
    wake(client);
    return hasten_add(client->hasten, number, id, entry, due_ms);
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

int queue_client_answer(struct queue_client *client, const struct queue_inquiry *inquiry, const char *text, size_t size)
{
    return control_answer(client->control, inquiry, text, size);
}

bool queue_client_is_moving(struct queue_client *client)
{
    return fetch_is_moving(client->fetch, control_is_known(client->control));
}

void queue_client_stop(struct queue_client *client)
{
    if (client->state != CLIENT_RUNNING)
        return;
    client->state = CLIENT_STOPPING;
    client->receiver.closed = true;
    fetch_stop(client->fetch);
    wake(client);
}

static int make_parts(struct queue_client *client, struct event_base *base)
{
    const struct queue_options *options = client->options;
    struct queue_link link = {
        .base = base, .options = options, .consumer = client->consumer, .health = &client->health};
    int r;

    r = queue_keys_new_all(options, &client->keys);
    if (r == 0)
        r = sort_queues(client);
    if (r == 0)
        r = entry_set_prepare(&client->held, options->queue_count);
    if (r == 0)
        r = connection_new(base, options, client->consumer, &client->health, &commands_events, client,
                           &client->commands);
    if (r == 0)
        r = connection_new(base, options, client->consumer, &client->health, &reads_events, client, &client->reads);
    client->target.commands = client->commands;
    link.connection = client->commands;
    link.keys = client->keys;
    if (r == 0)
        r = settle_new(&(struct settle_setup){.link = link, .held = &client->held, .wake = wake, .user = client},
                       &client->settle);
    if (r == 0)
        r = enqueue_new(client->commands, options->prefix, wake, client, &client->enqueue);
    if (r == 0)
        r = control_new(&link, &control_events, client, &client->control);
    if (r == 0)
        r = uniqueness_new(&link, &uniqueness_events, client, &client->uniqueness);
    client->receiver.settle = client->settle;
    client->receiver.control = client->control;
    if (r == 0)
        r = group_maker_init(&client->groups, &link, &group_events, client);
    if (r == 0)
        r = group_leaver_init(&client->leaver, &link, on_released, client);
    if (r == 0)
        r = lease_new(&(struct lease_setup){.link = link, .held = &client->held, .doubt = on_doubt, .user = client},
                      &client->lease);
    if (r == 0)
        r = ownership_new(&link, &client->held, on_lost, client, &client->ownership);
    if (r == 0)
        r = hasten_new(&link, &client->hasten);
    link.connection = client->reads;
    if (r == 0)
        r = fetch_new(&link, &client->target, &client->fetch);
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
    health_init(&client->health, options, events->redis_state, user);
    client->limits = (struct message_limits){options->payload_max, events->type_known, user};
    client->receiver = (struct delivery_receiver){
        .options = options, .events = events, .user = user, .ask = on_unsure, .asked = client};
    client->target = (struct fetch_target){.limits = &client->limits,
                                           .held = &client->held,
                                           .delivery_events = &delivery_receiver_events,
                                           .delivery_user = &client->receiver,
                                           .wake = wake,
                                           .user = client};
    client->consumer = strdup(consumer);
    client->turn = event_new(base, -1, 0, on_turn, client);
    /* Outcomes do not wait for whatever else is due, where the base knows priorities. */
    if (client->turn)
        (void)event_priority_set(client->turn, 0);
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
    connection_free(client->commands);
    connection_free(client->reads);
    fetch_free(client->fetch);
    settle_free(client->settle);
    enqueue_free(client->enqueue);
    uniqueness_free(client->uniqueness);
    control_free(client->control);
    group_maker_done(&client->groups);
    lease_free(client->lease);
    ownership_free(client->ownership);
    hasten_free(client->hasten);
    group_leaver_done(&client->leaver);
    queue_keys_free_all(client->keys, client->options->queue_count);
    if (client->turn)
        event_free(client->turn);
    entry_set_done(&client->held);
    free(client->by_name);
    free(client->consumer);
    free(client);
    return NULL;
}
