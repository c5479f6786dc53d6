#include "queue/consumer/ownership.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/redis/script.h"

#define LOOK_MAX 150 /* entries a call: the script works on one after the other, and Redis on nothing else */

struct loss_suspect {
    size_t queue;
    char entry[2 * 20 + 2];
};

struct loss {
    struct redis_request request; /* first, so that the one is found from the other */
    struct redis *redis;
    const struct queue_keys *keys;
    const char *consumer;
    struct entry_set *held;
    void (*lost)(size_t queue, const char *entry, void *user);
    void *user;
    struct words words;
    struct loss_suspect *suspects; /* NULL: no look is under way */
    size_t count;
    size_t asked; /* how many of them Redis has been asked about */
    size_t queue; /* of those that it was asked about last */
    bool again;
};

static void start_look(struct loss *loss);

static int compare_queues(const void *left, const void *right)
{
    const struct loss_suspect *one = left, *other = right;

    return (one->queue > other->queue) - (one->queue < other->queue);
}

/* The same entry may be held for a while after its settlement has been confirmed, so those that are being settled are
 * nothing to worry about. */
static int list_suspects(struct loss *loss)
{
    const struct entry_set *held = loss->held;

    loss->suspects = calloc(held->count, sizeof(*loss->suspects));
    if (!loss->suspects)
        return -ENOMEM;
    loss->count = 0;
    loss->asked = 0;
    for (size_t i = 0; i < held->capacity; i++) {
        const struct entry_slot *slot = &held->slots[i];
        struct loss_suspect *suspect = &loss->suspects[loss->count];

        if (slot->queue == 0 || slot->state != ENTRY_HELD)
            continue;
        suspect->queue = slot->queue - 1;
        (void)snprintf(suspect->entry, sizeof(suspect->entry), "%" PRIu64 "-%" PRIu64, slot->id.ms, slot->id.sequence);
        loss->count++;
    }
    qsort(loss->suspects, loss->count, sizeof(*loss->suspects), compare_queues);
    return 0;
}

static void end_look(struct loss *loss)
{
    free(loss->suspects);
    loss->suspects = NULL;
}

/* Asks about the next ones, which all belong to one queue. The script is hardly ever used, so there is nothing to be
 * gained from Redis knowing it. */
static int ask(struct loss *loss)
{
    struct words *words = &loss->words;
    size_t end = loss->asked + LOOK_MAX < loss->count ? loss->asked + LOOK_MAX : loss->count;

    loss->queue = loss->suspects[loss->asked].queue;
    call_start(words, &queue_script_lost, true, 1);
    call_add_keys(words, &loss->keys[loss->queue]);
    words_add_text(words, loss->consumer);
    while (loss->asked < end && loss->suspects[loss->asked].queue == loss->queue)
        words_add_text(words, loss->suspects[loss->asked++].entry);
    return redis_send(loss->redis, words, &loss->request);
}

static void go_on(struct loss *loss)
{
    if (loss->asked < loss->count && ask(loss) == 0)
        return;
    end_look(loss);
    if (!loss->again)
        return;
    loss->again = false;
    start_look(loss);
}

/* What was settled meanwhile did not get lost. */
static void note_lost(struct loss *loss, const redisReply *reply)
{
    struct entry_id id;

    if (!reply->str || entry_id_parse(reply->str, &id) < 0 ||
        entry_set_state(loss->held, loss->queue, id) != ENTRY_HELD)
        return;
    entry_set_mark(loss->held, loss->queue, id, ENTRY_LOST);
    loss->lost(loss->queue, reply->str, loss->user);
}

/* A queue of which Redis does not say what is pending is one that nobody can have taken jobs from. */
static void on_reply(struct redis_request *request, const redisReply *reply)
{
    struct loss *loss = (struct loss *)request;

    if (!reply) {
        loss->again = false;
        end_look(loss);
        return;
    }
    if (reply_blames_server(reply)) {
        redis_fail(loss->redis, reply->str);
        loss->again = false;
        end_look(loss);
        return;
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        note_lost(loss, reply->element[i]);
    go_on(loss);
}

static void start_look(struct loss *loss)
{
    if (loss->held->count > 0 && list_suspects(loss) == 0)
        go_on(loss);
}

void loss_look(struct loss *loss)
{
    if (loss->suspects)
        loss->again = true;
    else
        start_look(loss);
}

bool loss_take(struct loss *loss, size_t queue, const char *entry)
{
    struct entry_id id;

    if (loss->held->lost == 0 || entry_id_parse(entry, &id) < 0 || entry_set_state(loss->held, queue, id) != ENTRY_LOST)
        return false;
    entry_set_remove(loss->held, queue, id);
    return true;
}

int loss_new(struct redis *redis, const struct queue_keys *keys, const char *consumer, struct entry_set *held,
             void (*lost)(size_t queue, const char *entry, void *user), void *user, struct loss **ret_loss)
{
    struct loss *loss = calloc(1, sizeof(*loss));

    if (!loss)
        return -ENOMEM;
    *loss = (struct loss){.request = {on_reply},
                          .redis = redis,
                          .keys = keys,
                          .consumer = consumer,
                          .held = held,
                          .lost = lost,
                          .user = user};
    *ret_loss = loss;
    return 0;
}

struct loss *loss_free(struct loss *loss)
{
    if (!loss)
        return NULL;
    end_look(loss);
    words_done(&loss->words);
    free(loss);
    return NULL;
}
