#include "queue/consumer/control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/container.h"

#define PERIOD_US   (250 * 1000)
#define SWEEP_LOOKS 4 /* each so manieth look reads a queue of which nothing is known, one after the other */
#define SCORE_SIZE  32

struct cancel_mark {
    const char *id;
    int64_t asked_ms; /* Redis's time */
};

/* By ID. One block, in which the IDs follow the marks. */
struct cancel_list {
    struct cancel_mark *marks;
    size_t count;
};

struct cancel_read {
    struct redis_request request;
    struct cancel *cancel;
    struct health_subject subject;
    bool sent;
    bool again;  /* it changed after it was sent */
    bool unread; /* over this connection */
    struct cancel_list list;
};

/* Asks which queues have changed. */
struct cancel_look {
    struct redis_request request;
    struct cancel *cancel;
    struct health_subject subject;
    bool sent;
    bool first;             /* over this connection: all queues are being read anyway */
    char score[SCORE_SIZE]; /* of the last change that is known; "": none */
    size_t found;           /* the queue that was named last */
};

struct cancel {
    struct cancel_setup setup;
    struct event *timer;
    struct command command;
    struct cancel_look look;
    size_t unread; /* queues that have not been read over this connection */
    bool known;
    unsigned looks;             /* ever */
    size_t swept;               /* the queue at which the sweep goes on */
    struct cancel_read reads[]; /* of each queue */
};

/* ---- Lists ---- */

static int compare_marks(const void *one, const void *other)
{
    return strcmp(((const struct cancel_mark *)one)->id, ((const struct cancel_mark *)other)->id);
}

static const struct cancel_mark *find_mark(const struct cancel_list *list, const char *id)
{
    struct cancel_mark key = {.id = id};

    return list->count == 0 ? NULL : bsearch(&key, list->marks, list->count, sizeof(key), compare_marks);
}

/* An ID and its score each. */
static int make_list(const redisReply *reply, struct cancel_list *ret_list)
{
    struct cancel_list list = {.count = reply->elements / 2};
    size_t size = list.count * sizeof(*list.marks);
    char *end;

    if (list.count == 0) {
        *ret_list = list;
        return 0;
    }
    for (size_t i = 0; i < list.count; i++)
        size += reply->element[2 * i]->len + 1;
    list.marks = malloc(size);
    if (!list.marks)
        return -ENOMEM;
    end = (char *)(list.marks + list.count);
    for (size_t i = 0; i < list.count; i++) {
        const redisReply *id = reply->element[2 * i], *until = reply->element[2 * i + 1];

        list.marks[i] = (struct cancel_mark){end, (int64_t)strtod(until->str, NULL) - CANCEL_NOTED_MS};
        memcpy(end, id->str, id->len + 1);
        end += id->len + 1;
    }
    qsort(list.marks, list.count, sizeof(*list.marks), compare_marks);
    *ret_list = list;
    return 0;
}

/* ---- Reading ---- */

/* Tells of what is new. Where there is no memory, the next reply brings the same. */
static void take_list(struct cancel_read *read, const redisReply *reply)
{
    const struct cancel_setup *setup = &read->cancel->setup;
    size_t queue = (size_t)(read - read->cancel->reads);
    struct cancel_list before = read->list;

    if (make_list(reply, &read->list) < 0)
        return;
    for (size_t i = 0; i < read->list.count; i++) {
        const struct cancel_mark *mark = &read->list.marks[i];
        const struct cancel_mark *known = find_mark(&before, mark->id);

        if (!known || known->asked_ms != mark->asked_ms)
            setup->events->cancelled(queue, mark->id, setup->user);
    }
    free(before.marks);
}

/* Gives whether the queue has been read. A key that is something else names no jobs. */
static bool take_reply(struct cancel_read *read, const redisReply *reply)
{
    const struct cancel_setup *setup = &read->cancel->setup;

    if (!reply)
        return false;
    if (reply_blames_server(reply)) {
        redis_fail(setup->link.redis, reply->str);
        return false;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        take_list(read, reply);
        health_clear_problem(&read->subject);
    } else {
        health_set_problem(&read->subject, "does not tell which jobs of queue %s are to be cancelled: %s",
                           setup->link.keys[read - read->cancel->reads].queue, reply->str ? reply->str : "");
    }
    return true;
}

static void send_read(struct cancel_read *read)
{
    struct cancel *cancel = read->cancel;
    const struct cancel_setup *setup = &cancel->setup;
    size_t queue = (size_t)(read - cancel->reads);

    if (read->sent) {
        read->again = true;
        return;
    }
    command_start(&cancel->command, "ZRANGE", setup->link.keys[queue].names[QUEUE_KEY_CANCEL], "0", "-1", "WITHSCORES",
                  NULL);
    read->sent = redis_send(setup->link.redis, &cancel->command, &read->request) == 0;
    read->again = false;
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct cancel_read *read = container_of(request, struct cancel_read, request);
    struct cancel *cancel = read->cancel;

    read->sent = false;
    if (!take_reply(read, reply))
        return;
    if (read->again)
        send_read(read);
    cancel->unread -= read->unread;
    read->unread = false;
    if (cancel->unread > 0 || cancel->known)
        return;
    cancel->known = true;
    cancel->setup.events->known(cancel->setup.user);
}

static void read_queue(struct cancel *cancel, size_t queue)
{
    send_read(&cancel->reads[queue]);
    cancel->setup.events->changed(queue, cancel->setup.user);
}

static void read_all(struct cancel *cancel)
{
    for (size_t i = 0; i < cancel->setup.link.options->queue_count; i++)
        read_queue(cancel, i);
}

/* ---- Looking ---- */

/* Changes mostly come in the order of the queues. Others of the prefix are none of ours. */
static void note_change(struct cancel *cancel, const char *name)
{
    size_t count = cancel->setup.link.options->queue_count;

    for (size_t i = 1; i <= count; i++) {
        size_t queue = (cancel->look.found + i) % count;

        if (strcmp(cancel->setup.link.keys[queue].queue, name) != 0)
            continue;
        cancel->look.found = queue;
        read_queue(cancel, queue);
        return;
    }
}

/* The names and scores of what has changed, the last change at the end. */
static void take_changes(struct cancel *cancel, const redisReply *reply)
{
    struct cancel_look *look = &cancel->look;

    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *score = reply->element[i + 1];

        if (!name->str || !score->str || score->len >= SCORE_SIZE)
            continue;
        memcpy(look->score, score->str, (size_t)score->len + 1);
        if (!look->first)
            note_change(cancel, name->str);
    }
}

/* Where Redis does not tell what has changed, anything may have. */
static void on_looked(struct redis_request *request, const redisReply *reply)
{
    struct cancel_look *look = container_of(request, struct cancel_look, request);
    struct cancel *cancel = look->cancel;

    look->sent = false;
    if (!reply)
        return;
    if (reply_blames_server(reply)) {
        redis_fail(cancel->setup.link.redis, reply->str);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        take_changes(cancel, reply);
        health_clear_problem(&look->subject);
    } else {
        health_set_problem(&look->subject, "does not tell of which queues jobs are to be cancelled: %s",
                           reply->str ? reply->str : "");
        if (!look->first)
            read_all(cancel);
    }
    look->first = false;
}

static void send_look(struct cancel *cancel)
{
    struct cancel_look *look = &cancel->look;
    char from[SCORE_SIZE + 1] = "-inf";

    if (look->sent)
        return;
    if (look->score[0])
        snprintf(from, sizeof(from), "(%s", look->score);
    command_start(&cancel->command, "ZRANGEBYSCORE", cancel->setup.link.keys[0].names[QUEUE_KEY_CONTROL], from, "+inf",
                  "WITHSCORES", NULL);
    look->sent = redis_send(cancel->setup.link.redis, &cancel->command, &look->request) == 0;
}

/* A job that has ended is taken off its queue's list without a word, so a list that has any is read each time. A list
 * that has changed though nobody has said so (an older weft wrote it, or what was said has got lost) is found in turn.
 */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct cancel *cancel = arg;
    size_t count = cancel->setup.link.options->queue_count;

    (void)fd;
    (void)what;
    send_look(cancel);
    for (size_t i = 0; i < count; i++)
        if (cancel->reads[i].list.count > 0 && !cancel->reads[i].sent)
            send_read(&cancel->reads[i]);
    if (cancel->looks++ % SWEEP_LOOKS == 0) {
        read_queue(cancel, cancel->swept);
        cancel->swept = (cancel->swept + 1) % count;
    }
}

/* ---- For the owner ---- */

/* What changes after the look has another score, so that nothing is missed between it and the reads. */
void cancel_start(struct cancel *cancel)
{
    cancel->look.first = true;
    cancel->look.score[0] = '\0';
    cancel->unread = cancel->setup.link.options->queue_count;
    for (size_t i = 0; i < cancel->setup.link.options->queue_count; i++)
        cancel->reads[i].unread = true;
    send_look(cancel);
    read_all(cancel);
    event_add(cancel->timer, &(struct timeval){.tv_usec = PERIOD_US});
}

void cancel_stop(struct cancel *cancel)
{
    cancel->known = false;
    event_del(cancel->timer);
}

bool cancel_is_known(const struct cancel *cancel)
{
    return cancel->known;
}

bool cancel_has(const struct cancel *cancel, size_t queue, const struct job *job)
{
    assert(queue < cancel->setup.link.options->queue_count);
    const struct cancel_mark *mark = find_mark(&cancel->reads[queue].list, job->id);

    return mark && job->enqueued_ms <= mark->asked_ms;
}

int cancel_new(const struct cancel_setup *setup, struct cancel **ret_cancel)
{
    struct cancel *cancel = calloc(1, sizeof(*cancel) + setup->link.options->queue_count * sizeof(cancel->reads[0]));

    if (!cancel)
        return -ENOMEM;
    cancel->setup = *setup;
    cancel->look = (struct cancel_look){.request = {on_looked},
                                        .cancel = cancel,
                                        .subject = {.health = setup->link.health},
                                        .found = setup->link.options->queue_count - 1};
    for (size_t i = 0; i < setup->link.options->queue_count; i++)
        cancel->reads[i] =
            (struct cancel_read){.request = {on_reply}, .cancel = cancel, .subject = {.health = setup->link.health}};
    cancel->timer = event_new(setup->link.base, -1, EV_PERSIST, on_timer, cancel);
    if (!cancel->timer) {
        free(cancel);
        return -ENOMEM;
    }
    *ret_cancel = cancel;
    return 0;
}

struct cancel *cancel_free(struct cancel *cancel)
{
    if (!cancel)
        return NULL;
    for (size_t i = 0; i < cancel->setup.link.options->queue_count; i++)
        free(cancel->reads[i].list.marks);
    event_free(cancel->timer);
    command_done(&cancel->command);
    free(cancel);
    return NULL;
}
