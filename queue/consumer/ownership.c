#include "queue/consumer/ownership.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "context/container.h"
#include "queue/redis/call.h"

#define LOOK_MAX 150 /* entries a call; of large ones the script looks at fewer */

struct ownership_suspect {
    size_t queue;
    char entry[2 * 20 + 2];
};

struct ownership {
    struct call call;
    struct queue_link link;
    struct entry_set *held;
    void (*lost)(size_t queue, const char *entry, void *user);
    void *user;
    struct command command;
    struct ownership_suspect *suspects; /* NULL: no look is under way */
    size_t count;
    size_t asked;    /* how many of them Redis has been asked about, */
    size_t answered; /* and has looked at */
    size_t queue;    /* of those that it was asked about last */
    bool again;
};

static void start_look(struct ownership *ownership);

static int compare_queues(const void *left, const void *right)
{
    const struct ownership_suspect *one = left, *other = right;

    return (one->queue > other->queue) - (one->queue < other->queue);
}

/* The same entry may be held for a while after its settlement has been confirmed, so those that are being settled are
 * nothing to worry about. */
static int list_suspects(struct ownership *ownership)
{
    const struct entry_set *held = ownership->held;

    ownership->suspects = calloc(held->count, sizeof(*ownership->suspects));
    if (!ownership->suspects)
        return -ENOMEM;
    ownership->count = 0;
    ownership->asked = 0;
    ownership->answered = 0;
    for (size_t i = 0; i < held->capacity; i++) {
        const struct entry_slot *slot = &held->slots[i];
        struct ownership_suspect *suspect = &ownership->suspects[ownership->count];

        if (slot->queue == 0 || slot->state != ENTRY_HELD)
            continue;
        suspect->queue = slot->queue - 1;
        (void)snprintf(suspect->entry, sizeof(suspect->entry), "%" PRIu64 "-%" PRIu64, slot->id.ms, slot->id.sequence);
        ownership->count++;
    }
    qsort(ownership->suspects, ownership->count, sizeof(*ownership->suspects), compare_queues);
    return 0;
}

static void end_look(struct ownership *ownership)
{
    free(ownership->suspects);
    ownership->suspects = NULL;
}

/* Asks about the next ones, which all belong to one queue. */
static int write_question(struct call *call)
{
    struct ownership *ownership = container_of(call, struct ownership, call);
    struct command *command = call_start(call, QUEUE_KEY_COUNT);
    size_t next = ownership->answered;
    size_t end = next + LOOK_MAX < ownership->count ? next + LOOK_MAX : ownership->count;

    ownership->queue = ownership->suspects[next].queue;
    command_add_queue(command, &ownership->link.keys[ownership->queue]);
    command_add_text(command, ownership->link.consumer);
    while (next < end && ownership->suspects[next].queue == ownership->queue)
        command_add_text(command, ownership->suspects[next++].entry);
    ownership->asked = next;
    return 0;
}

static void on_reply(struct call *call, const redisReply *reply);

static const struct call_kind lost_call = {
    .script = &queue_script_lost, .seldom = true, .write = write_question, .done = on_reply};

static void go_on(struct ownership *ownership)
{
    if (ownership->answered < ownership->count &&
        call_send(&ownership->call, &lost_call, ownership->link.connection, &ownership->command) == 0)
        return;
    end_look(ownership);
    if (!ownership->again)
        return;
    ownership->again = false;
    start_look(ownership);
}

/* What was settled meanwhile did not get lost. */
static void note_lost(struct ownership *ownership, const redisReply *reply)
{
    struct entry_id id;

    if (!reply->str || entry_id_parse(reply->str, &id) < 0 ||
        entry_set_state(ownership->held, ownership->queue, id) != ENTRY_HELD)
        return;
    entry_set_mark(ownership->held, ownership->queue, id, ENTRY_LOST);
    ownership->lost(ownership->queue, reply->str, ownership->user);
}

/* A queue of which Redis does not say what is pending is one that nobody can have taken jobs from. */
static void on_reply(struct call *call, const redisReply *reply)
{
    struct ownership *ownership = container_of(call, struct ownership, call);
    size_t looked = ownership->asked - ownership->answered;

    if (!reply) {
        ownership->again = false;
        end_look(ownership);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
        long long count = reply->element[0]->integer;

        for (size_t i = 1; i < reply->elements; i++)
            note_lost(ownership, reply->element[i]);
        if (count > 0 && (size_t)count < looked)
            looked = (size_t)count;
    }
    ownership->answered += looked;
    go_on(ownership);
}

static void start_look(struct ownership *ownership)
{
    if (ownership->held->count > 0 && list_suspects(ownership) == 0)
        go_on(ownership);
}

void ownership_check(struct ownership *ownership)
{
    if (ownership->suspects)
        ownership->again = true;
    else
        start_look(ownership);
}

bool ownership_take(struct ownership *ownership, size_t queue, const char *entry)
{
    struct entry_id id;

    if (ownership->held->lost == 0 || entry_id_parse(entry, &id) < 0 ||
        entry_set_state(ownership->held, queue, id) != ENTRY_LOST)
        return false;
    entry_set_remove(ownership->held, queue, id);
    return true;
}

int ownership_new(const struct queue_link *link, struct entry_set *held,
                  void (*lost)(size_t queue, const char *entry, void *user), void *user,
                  struct ownership **ret_ownership)
{
    struct ownership *ownership = calloc(1, sizeof(*ownership));

    if (!ownership)
        return -ENOMEM;
    *ownership = (struct ownership){.link = *link, .held = held, .lost = lost, .user = user};
    *ret_ownership = ownership;
    return 0;
}

struct ownership *ownership_free(struct ownership *ownership)
{
    if (!ownership)
        return NULL;
    end_look(ownership);
    command_done(&ownership->command);
    free(ownership);
    return NULL;
}
