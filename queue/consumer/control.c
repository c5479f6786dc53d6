#include "queue/consumer/control.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/log.h>

#include "context/container.h"
#include "context/name.h"
#include "queue/redis/call.h"

#define PERIOD_US   (250 * 1000)
#define SWEEP_LOOKS 4 /* each so manieth look reads a queue of which nothing is known, one after the other */
#define SCORE_SIZE  33

struct cancel_mark {
    const char *id;
    int64_t asked_ms; /* Redis's time */
};

/* By ID. One block, in which the IDs follow the marks. */
struct cancel_list {
    struct cancel_mark *marks;
    size_t count;
};

struct control_queue {
    struct health_subject health;
    bool unread; /* over this connection */
    struct cancel_list list;
    size_t inquiry_count;
    char inquiries[INQUIRIES_MAX][INQUIRY_SIZE]; /* that are known */
};

struct control {
    struct queue_link link;
    const struct control_events *events;
    void *user;
    struct event *timer;
    struct command command;

    /* Asks which queues have changed. */
    struct call look;
    struct health_subject look_health;
    bool first_look;       /* over this connection: all queues are being read anyway */
    char from[SCORE_SIZE]; /* the scores that are new: above that of the last change that is known */
    size_t found;          /* the queue that was named last */
    unsigned looks;        /* ever */
    size_t swept;          /* the queue at which the sweep goes on */

    struct queue_calls lists; /* asks a queue which jobs are to be cancelled; */
    struct queue_calls sets;  /* and who inquires */
    struct connection_request answers;
    size_t unread; /* queues that have not been read over this connection */
    bool known;
    struct control_queue queues[];
};

/* ---- What is to be cancelled ---- */

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

    if (list.count == 0) {
        *ret_list = list;
        return 0;
    }
    for (size_t i = 0; i < list.count; i++)
        size += reply->element[2 * i]->len + 1;
    list.marks = malloc(size);
    if (!list.marks)
        return -ENOMEM;
    char *end = (char *)(list.marks + list.count);

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

/* Tells of what is new. Where there is no memory, the next reply brings the same. */
static void take_list(struct control *control, size_t queue, const redisReply *reply)
{
    struct cancel_list *list = &control->queues[queue].list;
    struct cancel_list before = *list;

    if (make_list(reply, list) < 0)
        return;
    for (size_t i = 0; i < list->count; i++) {
        const struct cancel_mark *mark = &list->marks[i];
        const struct cancel_mark *known = find_mark(&before, mark->id);

        if (known && known->asked_ms == mark->asked_ms)
            continue;
        weft_debug("queue %s: job %s is to be cancelled", control->link.keys[queue].queue, mark->id);
        control->events->cancelled(queue, mark->id, control->user);
    }
    free(before.marks);
}

static void write_list(const struct queue_calls *calls, size_t queue, struct command *command)
{
    command_start(command, "ZRANGE", calls->link.keys[queue].names[QUEUE_KEY_CANCEL], "0", "-1", "WITHSCORES", NULL);
}

/* A key that is something else names no jobs. */
static void on_list(struct queue_calls *calls, size_t number, const redisReply *reply)
{
    struct control *control = container_of(calls, struct control, lists);
    struct control_queue *queue = &control->queues[number];

    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ARRAY) {
        take_list(control, number, reply);
        health_clear_problem(&queue->health);
    } else {
        health_set_problem(&queue->health, "does not tell which jobs of queue %s are to be cancelled: %s",
                           calls->link.keys[number].queue, reply->str ? reply->str : "");
    }
    control->unread -= queue->unread;
    queue->unread = false;
    if (control->unread > 0 || control->known)
        return;
    control->known = true;
    control->events->known(control->user);
}

static const struct queue_calls_kind list_calls = {.write = write_list, .done = on_list};

/* ---- Inquiries ---- */

/* Anybody may write into Redis: what is none of ours is not answered. */
static bool is_inquiry(const redisReply *member)
{
    if (!member->str || member->len == 0 || (size_t)member->len >= INQUIRY_SIZE)
        return false;

    size_t size = (size_t)member->len, nonce = strcspn(member->str, " ");
    return name_is_valid(member->str, nonce) &&
           (nonce == size || name_is_job_id(member->str + nonce + 1, size - nonce - 1));
}

static bool is_known(const struct control_queue *queue, const char *text)
{
    for (size_t i = 0; i < queue->inquiry_count; i++)
        if (strcmp(queue->inquiries[i], text) == 0)
            return true;
    return false;
}

static void write_set(const struct queue_calls *calls, size_t queue, struct command *command)
{
    command_start(command, "ZRANGE", calls->link.keys[queue].names[QUEUE_KEY_PS], "0", "-1", NULL);
}

/* What is known from then on is what there is: an inquiry that was given up does not come again. A key that is
 * something else inquires nothing. */
static void on_set(struct queue_calls *calls, size_t number, const redisReply *reply)
{
    struct control *control = container_of(calls, struct control, sets);
    struct control_queue *queue = &control->queues[number];
    bool is_new[INQUIRIES_MAX] = {false};
    char found[INQUIRIES_MAX][INQUIRY_SIZE];
    size_t count = 0;

    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return;
    for (size_t i = 0; i < reply->elements && count < INQUIRIES_MAX; i++) {
        if (!is_inquiry(reply->element[i]))
            continue;
        memcpy(found[count], reply->element[i]->str, (size_t)reply->element[i]->len + 1);
        is_new[count] = !is_known(queue, found[count]);
        count++;
    }
    memcpy(queue->inquiries, found, count * sizeof(found[0]));
    queue->inquiry_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *blank = strchr(found[i], ' ');

        if (is_new[i])
            control->events->inquired(&(struct queue_inquiry){.number = number,
                                                              .queue = calls->link.keys[number].queue,
                                                              .text = found[i],
                                                              .id = blank ? blank + 1 : NULL},
                                      control->user);
    }
}

static const struct queue_calls_kind set_calls = {.write = write_set, .done = on_set};

int control_answer(struct control *control, const struct queue_inquiry *inquiry, const char *text, size_t size)
{
    assert(inquiry->number < control->link.options->queue_count);
    struct command *command = &control->command;

    /* Seldom used, so there is nothing to be gained from Redis knowing it. Whoever gets no answer says so. */
    command_start_script(command, &queue_script_answer, QUEUE_KEY_COUNT);
    command_add_queue(command, &control->link.keys[inquiry->number]);
    command_add_text(command, inquiry->text);
    command_add_text(command, control->link.consumer);
    command_add(command, text, size);
    command_add_number(command, INQUIRY_KEPT_MS);
    return connection_send(control->link.connection, command, &control->answers);
}

/* ---- Looking ---- */

static void read_queue(struct control *control, size_t queue)
{
    queue_calls_send_anew(&control->lists, queue);
    queue_calls_send_anew(&control->sets, queue);
}

static void read_all(struct control *control)
{
    for (size_t i = 0; i < control->link.options->queue_count; i++)
        read_queue(control, i);
}

/* Changes mostly come in the order of the queues. Others of the prefix are none of ours. */
static void note_change(struct control *control, const char *name)
{
    size_t count = control->link.options->queue_count;

    for (size_t i = 1; i <= count; i++) {
        size_t queue = (control->found + i) % count;

        if (strcmp(control->link.keys[queue].queue, name) != 0)
            continue;
        control->found = queue;
        read_queue(control, queue);
        return;
    }
}

/* The names and scores of what has changed, the last change at the end. */
static void take_changes(struct control *control, const redisReply *reply)
{
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *score = reply->element[i + 1];

        if (!name->str || !score->str || score->len + 1 >= SCORE_SIZE)
            continue;
        (void)snprintf(control->from, sizeof(control->from), "(%s", score->str);
        if (!control->first_look)
            note_change(control, name->str);
    }
}

static int write_look(struct call *call)
{
    struct control *control = container_of(call, struct control, look);

    command_start(&control->command, "ZRANGEBYSCORE", control->link.keys[0].names[QUEUE_KEY_CONTROL], control->from,
                  "+inf", "WITHSCORES", NULL);
    return 0;
}

/* Where Redis does not tell what has changed, anything may have. */
static void on_looked(struct call *call, const redisReply *reply)
{
    struct control *control = container_of(call, struct control, look);

    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ARRAY) {
        take_changes(control, reply);
        health_clear_problem(&control->look_health);
    } else {
        health_set_problem(&control->look_health, "does not tell of which queues jobs are to be cancelled: %s",
                           reply->str ? reply->str : "");
        if (!control->first_look)
            read_all(control);
    }
    control->first_look = false;
}

static const struct call_kind look_call = {.write = write_look, .done = on_looked};

static void look(struct control *control)
{
    if (!control->look.under_way)
        (void)!call_send(&control->look, &look_call, control->link.connection, &control->command);
}

/* A job that has ended is taken off its queue's list without a word, so a list that has any is read each time. A list
 * that has changed though nobody has said so (an older weft wrote it, or what was said has got lost) is found in turn.
 */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct control *control = arg;
    size_t count = control->link.options->queue_count;

    (void)fd;
    (void)what;
    look(control);
    for (size_t i = 0; i < count; i++)
        if (control->queues[i].list.count > 0)
            (void)!queue_calls_send(&control->lists, i);
    if (control->looks++ % SWEEP_LOOKS == 0) {
        read_queue(control, control->swept);
        control->swept = (control->swept + 1) % count;
    }
}

/* ---- For the owner ---- */

/* What changes after the look has another score, so that nothing is missed between it and the reads. */
void control_start(struct control *control)
{
    control->first_look = true;
    strcpy(control->from, "-inf");
    control->unread = control->link.options->queue_count;
    for (size_t i = 0; i < control->unread; i++)
        control->queues[i].unread = true;
    look(control);
    read_all(control);
    event_add(control->timer, &(struct timeval){.tv_usec = PERIOD_US});
}

void control_stop(struct control *control)
{
    control->known = false;
    event_del(control->timer);
}

bool control_is_known(const struct control *control)
{
    return control->known;
}

bool control_cancels(const struct control *control, size_t queue, const struct job *job)
{
    assert(queue < control->link.options->queue_count);
    const struct cancel_mark *mark = find_mark(&control->queues[queue].list, job->id);

    return mark && job->enqueued_ms <= mark->asked_ms;
}

int control_new(const struct queue_link *link, const struct control_events *events, void *user,
                struct control **ret_control)
{
    assert(events->cancelled && events->known && events->inquired);
    size_t count = link->options->queue_count;
    struct control *control = calloc(1, sizeof(*control) + count * sizeof(control->queues[0]));

    if (!control)
        return -ENOMEM;
    control->link = *link;
    control->events = events;
    control->user = user;
    control->look_health.health = link->health;
    control->found = count - 1;
    for (size_t i = 0; i < count; i++)
        control->queues[i].health.health = link->health;
    control->timer = event_new(link->base, -1, EV_PERSIST, on_timer, control);
    if (!control->timer || queue_calls_init(&control->lists, link, &list_calls) < 0 ||
        queue_calls_init(&control->sets, link, &set_calls) < 0) {
        control_free(control);
        return -ENOMEM;
    }
    *ret_control = control;
    return 0;
}

struct control *control_free(struct control *control)
{
    if (!control)
        return NULL;
    for (size_t i = 0; i < control->link.options->queue_count; i++)
        free(control->queues[i].list.marks);
    if (control->timer)
        event_free(control->timer);
    queue_calls_done(&control->lists);
    queue_calls_done(&control->sets);
    command_done(&control->command);
    free(control);
    return NULL;
}
