#include "queue/cancel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_US (250 * 1000)

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
    struct redis_request request; /* first, so that the one is found from the other */
    struct cancel *cancel;
    struct trouble_subject subject;
    struct cancel_list list;
};

struct cancel {
    struct cancel_setup setup;
    struct event *timer;
    struct words words;
    size_t outstanding;
    bool complete; /* the reads under way are those of all queues */
    bool known;
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

static void tell_news(const struct cancel_read *read, const struct cancel_list *before)
{
    const struct cancel_setup *setup = &read->cancel->setup;
    size_t queue = (size_t)(read - read->cancel->reads);

    for (size_t i = 0; i < read->list.count; i++) {
        const struct cancel_mark *mark = &read->list.marks[i];
        const struct cancel_mark *known = find_mark(before, mark->id);

        if (!known || known->asked_ms != mark->asked_ms)
            setup->events->cancelled(queue, mark->id, setup->user);
    }
}

/* Where there is no memory, the next reply brings the same. */
static void take_list(struct cancel_read *read, const redisReply *reply)
{
    struct cancel_list before = read->list;

    if (make_list(reply, &read->list) < 0)
        return;
    tell_news(read, &before);
    free(before.marks);
}

/* Gives whether the queue has been read. A key that is something else names no jobs. */
static bool take_reply(struct cancel_read *read, const redisReply *reply)
{
    const struct cancel_setup *setup = &read->cancel->setup;

    if (!reply)
        return false;
    if (reply_blames_server(reply)) {
        redis_fail(setup->redis, reply->str);
        return false;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        take_list(read, reply);
        trouble_end(&read->subject);
    } else {
        trouble_begin(&read->subject, "does not tell which jobs of queue %s are to be cancelled: %s",
                      setup->keys[read - read->cancel->reads].queue, reply->str ? reply->str : "");
    }
    return true;
}

static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct cancel_read *read = (struct cancel_read *)request;
    struct cancel *cancel = read->cancel;

    cancel->outstanding--;
    if (!take_reply(read, reply) || cancel->outstanding > 0 || !cancel->complete || cancel->known)
        return;
    cancel->known = true;
    cancel->setup.events->known(cancel->setup.user);
}

static void send_reads(struct cancel *cancel)
{
    const struct cancel_setup *setup = &cancel->setup;
    size_t sent = 0;

    if (cancel->outstanding > 0)
        return;
    for (; sent < setup->queue_count; sent++) {
        words_start(&cancel->words, "ZRANGE", setup->keys[sent].names[QUEUE_KEY_CANCEL], "0", "-1", "WITHSCORES", NULL);
        if (redis_send(setup->redis, &cancel->words, &cancel->reads[sent].request) < 0)
            break;
        cancel->outstanding++;
    }
    cancel->complete = sent == setup->queue_count;
    setup->events->reading(setup->user);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct cancel *cancel = arg;

    (void)fd;
    (void)what;
    send_reads(cancel);
}

/* ---- For the owner ---- */

void cancel_start(struct cancel *cancel)
{
    send_reads(cancel);
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
    const struct cancel_mark *mark = find_mark(&cancel->reads[queue].list, job->id);

    return mark && job->enqueued_ms <= mark->asked_ms;
}

int cancel_new(const struct cancel_setup *setup, struct cancel **ret_cancel)
{
    struct cancel *cancel = calloc(1, sizeof(*cancel) + setup->queue_count * sizeof(cancel->reads[0]));

    if (!cancel)
        return -ENOMEM;
    cancel->setup = *setup;
    for (size_t i = 0; i < setup->queue_count; i++)
        cancel->reads[i] =
            (struct cancel_read){.request = {on_reply}, .cancel = cancel, .subject = {.trouble = setup->trouble}};
    cancel->timer = event_new(setup->base, -1, EV_PERSIST, on_timer, cancel);
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
    for (size_t i = 0; i < cancel->setup.queue_count; i++)
        free(cancel->reads[i].list.marks);
    event_free(cancel->timer);
    words_done(&cancel->words);
    free(cancel);
    return NULL;
}
