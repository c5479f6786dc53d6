/*
 * The least that draining a queue can cost: reads a stream through a consumer group and takes the entries off it, in
 * batches, and does nothing else. What weftd is compared with.
 *
 *     drain_bare SOCKET STREAM
 *
 * Each round trip settles one batch and fetches the next. Ends when the stream has nothing new.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#define GROUP    "bare"
#define CONSUMER "bare"
#define BATCH    100

struct batch {
    const char *ids[BATCH];
    size_t sizes[BATCH];
    size_t count;
};

static void die(const char *what, const redisContext *redis)
{
    fprintf(stderr, "drain_bare: %s: %s\n", what, redis && redis->err ? redis->errstr : "unexpected answer");
    exit(EXIT_FAILURE);
}

static redisReply *read_reply(redisContext *redis)
{
    redisReply *reply;

    if (redisGetReply(redis, (void **)&reply) != REDIS_OK || reply->type == REDIS_REPLY_ERROR)
        die("no answer", redis);
    return reply;
}

/* Queues `words` (COMMAND STREAM [GROUP]) with the IDs of a batch behind them. */
static void append_with_ids(redisContext *redis, const char *const *words, size_t word_count, const struct batch *batch)
{
    const char *arguments[3 + BATCH];
    size_t sizes[3 + BATCH];

    for (size_t i = 0; i < word_count; i++) {
        arguments[i] = words[i];
        sizes[i] = strlen(words[i]);
    }
    memcpy(arguments + word_count, batch->ids, batch->count * sizeof(*arguments));
    memcpy(sizes + word_count, batch->sizes, batch->count * sizeof(*sizes));
    redisAppendCommandArgv(redis, (int)(word_count + batch->count), arguments, sizes);
}

/* The IDs of an answer to XREADGROUP of one stream: [[stream, [[id, fields], ...]]]. They stay the answer's. */
static void collect_ids(const redisReply *reply, struct batch *batch)
{
    const redisReply *entries = reply->type == REDIS_REPLY_ARRAY ? reply->element[0]->element[1] : NULL;

    batch->count = entries ? entries->elements : 0;
    for (size_t i = 0; i < batch->count; i++) {
        batch->ids[i] = entries->element[i]->element[0]->str;
        batch->sizes[i] = (size_t)entries->element[i]->element[0]->len;
    }
}

static void drain(redisContext *redis, const char *stream)
{
    const char *const acknowledge[] = {"XACK", stream, GROUP};
    const char *const delete[] = {"XDEL", stream};
    struct batch batch = {.count = 0};
    redisReply *entries = NULL;

    do {
        bool settles = batch.count > 0;

        if (settles) {
            append_with_ids(redis, acknowledge, 3, &batch);
            append_with_ids(redis, delete, 2, &batch);
        }
        redisAppendCommand(redis, "XREADGROUP GROUP " GROUP " " CONSUMER " COUNT %d STREAMS %s >", BATCH, stream);
        freeReplyObject(entries);
        for (int i = 0; settles && i < 2; i++)
            freeReplyObject(read_reply(redis));
        entries = read_reply(redis);
        collect_ids(entries, &batch);
    } while (batch.count > 0);
    freeReplyObject(entries);
}

int main(int argc, char **argv)
{
    redisContext *redis;

    if (argc != 3) {
        fprintf(stderr, "usage: drain_bare SOCKET STREAM\n");
        return 64;
    }
    redis = redisConnectUnix(argv[1]);
    if (!redis || redis->err)
        die(argv[1], redis);
    redisAppendCommand(redis, "XGROUP CREATE %s " GROUP " 0", argv[2]);
    freeReplyObject(read_reply(redis));
    drain(redis, argv[2]);
    redisFree(redis);
    return 0;
}
