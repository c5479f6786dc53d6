#include "queue/group.h"

#include <assert.h>

#include "context/container.h"

/* ---- Making ---- */

static void on_created(struct queue_calls *calls, size_t queue, const redisReply *reply)
{
    struct group_maker *maker = container_of(calls, struct group_maker, calls);

    if (!reply)
        return;
    if (reply_is_error(reply, NULL) && !reply_is_error(reply, "BUSYGROUP") && maker->events->refused)
        maker->events->refused(queue, reply, maker->user);
    if (calls->under_way == 0 && maker->events->answered && connection_is_up(calls->link.connection))
        maker->events->answered(maker->user);
}

static const struct queue_calls_kind create_calls = {.script = &queue_script_group, .done = on_created};

int group_maker_start(struct group_maker *maker)
{
    return maker->calls.under_way > 0 ? 0 : queue_calls_send_all(&maker->calls);
}

int group_maker_init(struct group_maker *maker, const struct queue_link *link, const struct group_events *events,
                     void *user)
{
    maker->events = events;
    maker->user = user;
    return queue_calls_init(&maker->calls, link, &create_calls);
}

void group_maker_done(struct group_maker *maker)
{
    queue_calls_done(&maker->calls);
}

/* ---- Leaving ---- */

static void write_release(const struct queue_calls *calls, size_t queue, struct command *command)
{
    (void)queue;
    command_add_text(command, calls->link.consumer);
}

static void on_released(struct queue_calls *calls, size_t queue, const redisReply *reply)
{
    struct group_leaver *leaver = container_of(calls, struct group_leaver, calls);

    (void)queue;
    (void)reply;
    if (calls->under_way == 0)
        leaver->done(leaver->user);
}

static const struct queue_calls_kind release_calls = {
    .script = &queue_script_release, .write = write_release, .done = on_released};

int group_leaver_start(struct group_leaver *leaver)
{
    assert(leaver->calls.under_way == 0);
    int r = queue_calls_send_all(&leaver->calls);

    return leaver->calls.under_way > 0 ? 0 : r;
}

int group_leaver_init(struct group_leaver *leaver, const struct queue_link *link, void (*done)(void *user), void *user)
{
    leaver->done = done;
    leaver->user = user;
    return queue_calls_init(&leaver->calls, link, &release_calls);
}

void group_leaver_done(struct group_leaver *leaver)
{
    queue_calls_done(&leaver->calls);
}
