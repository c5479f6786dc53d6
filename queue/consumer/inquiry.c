#include "queue/consumer/inquiry.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "context/container.h"
#include "context/name.h"
#include "queue/redis/call.h"

struct inquiry_read {
    struct redis_request request;
    struct inquiry *inquiry;
    bool sent;
    bool again;   /* there may be others since it was sent */
    size_t count; /* of those that are known */
    char known[INQUIRIES_MAX][INQUIRY_SIZE];
};

struct inquiry {
    struct redis_request answer; /* of all answers */
    struct queue_link link;
    void (*inquired)(const struct queue_inquiry *inquiry, void *user);
    void *user;
    struct command command;
    struct inquiry_read reads[]; /* of each queue */
};

/* ---- Reading ---- */

/* Anybody may write into Redis: what is none of ours is not answered. */
static bool is_inquiry(const redisReply *member)
{
    if (!member->str || member->len == 0 || (size_t)member->len >= INQUIRY_SIZE)
        return false;

    size_t size = (size_t)member->len, nonce = strcspn(member->str, " ");
    return name_is_valid(member->str, nonce) &&
           (nonce == size || name_is_job_id(member->str + nonce + 1, size - nonce - 1));
}

static bool is_known(const struct inquiry_read *read, const char *text)
{
    for (size_t i = 0; i < read->count; i++)
        if (strcmp(read->known[i], text) == 0)
            return true;
    return false;
}

static void tell(const struct inquiry_read *read, const char *text)
{
    const struct inquiry *inquiry = read->inquiry;
    const char *blank = strchr(text, ' ');
    size_t number = (size_t)(read - inquiry->reads);
    const struct queue_inquiry question = {
        .number = number,
        .queue = inquiry->link.keys[number].queue,
        .text = text,
        .id = blank ? blank + 1 : NULL,
    };

    inquiry->inquired(&question, inquiry->user);
}

/* What is known from then on is what there is: an inquiry that was given up does not come again. */
static void take_list(struct inquiry_read *read, const redisReply *reply)
{
    bool is_new[INQUIRIES_MAX] = {false};
    char found[INQUIRIES_MAX][INQUIRY_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < reply->elements && count < INQUIRIES_MAX; i++) {
        if (!is_inquiry(reply->element[i]))
            continue;
        memcpy(found[count], reply->element[i]->str, (size_t)reply->element[i]->len + 1);
        is_new[count] = !is_known(read, found[count]);
        count++;
    }
    memcpy(read->known, found, count * sizeof(found[0]));
    read->count = count;
    for (size_t i = 0; i < count; i++)
        if (is_new[i])
            tell(read, found[i]);
}

static void send_read(struct inquiry_read *read)
{
    struct inquiry *inquiry = read->inquiry;
    size_t queue = (size_t)(read - inquiry->reads);

    if (read->sent) {
        read->again = true;
        return;
    }
    command_start(&inquiry->command, "ZRANGE", inquiry->link.keys[queue].names[QUEUE_KEY_PS], "0", "-1", NULL);
    read->sent = redis_send(inquiry->link.redis, &inquiry->command, &read->request) == 0;
    read->again = false;
}

/* A key that is something else inquires nothing. */
static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct inquiry_read *read = container_of(request, struct inquiry_read, request);

    read->sent = false;
    if (!reply)
        return;
    if (reply_blames_server(reply)) {
        redis_fail(read->inquiry->link.redis, reply->str);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY)
        take_list(read, reply);
    if (read->again)
        send_read(read);
}

void inquiry_read(struct inquiry *inquiry, size_t queue)
{
    send_read(&inquiry->reads[queue]);
}

/* ---- Answering ---- */

/* Whoever gets no answer says so. */
static void on_answered(struct redis_request *request, const redisReply *reply)
{
    struct inquiry *inquiry = container_of(request, struct inquiry, answer);

    if (reply && reply_blames_server(reply))
        redis_fail(inquiry->link.redis, reply->str);
}

int inquiry_answer(struct inquiry *inquiry, const struct queue_inquiry *question, const char *text, size_t size)
{
    struct command *command = &inquiry->command;

    assert(question->number < inquiry->link.options->queue_count);
    /* Seldom used, so there is nothing to be gained from Redis knowing it. */
    script_command_start(command, &queue_script_answer, QUEUE_KEY_COUNT);
    script_command_add_queue(command, &inquiry->link.keys[question->number]);
    command_add_text(command, question->text);
    command_add_text(command, inquiry->link.consumer);
    command_add(command, text, size);
    command_add_number(command, INQUIRY_KEPT_MS);
    return redis_send(inquiry->link.redis, command, &inquiry->answer);
}

/* ---- For the owner ---- */

int inquiry_new(const struct queue_link *link, void (*inquired)(const struct queue_inquiry *inquiry, void *user),
                void *user, struct inquiry **ret_inquiry)
{
    const size_t queue_count = link->options->queue_count;
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry) + queue_count * sizeof(inquiry->reads[0]));

    if (!inquiry)
        return -ENOMEM;
    inquiry->answer.done = on_answered;
    inquiry->link = *link;
    inquiry->inquired = inquired;
    inquiry->user = user;
    for (size_t i = 0; i < queue_count; i++) {
        inquiry->reads[i].request.done = on_reply;
        inquiry->reads[i].inquiry = inquiry;
    }
    *ret_inquiry = inquiry;
    return 0;
}

struct inquiry *inquiry_free(struct inquiry *inquiry)
{
    if (!inquiry)
        return NULL;
    command_done(&inquiry->command);
    free(inquiry);
    return NULL;
}
