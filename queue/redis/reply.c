#include "queue/redis/reply.h"

#include <stdint.h>
#include <string.h>

#include "context/macros.h"

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* hiredis parses one reply at a time, so the root of the next one means that the last one is no longer needed. */
static redisReply *make_reply(const redisReadTask *task, int type)
{
    struct arena *arena = task->privdata;
    redisReply *reply;

    if (!task->parent)
        arena_reset(arena);
    reply = arena_alloc(arena, sizeof(*reply));
    if (!reply)
        return NULL;
    memset(reply, 0, sizeof(*reply));
    reply->type = type;
    if (task->parent)
        ((redisReply *)task->parent->obj)->element[task->idx] = reply;
    return reply;
}

/* Where in a script an error came from is said to its author: others want to know what the error is. */
static size_t cut_origin(char *error, size_t size)
{
    char *origin = strstr(error, " script: ");

    if (!origin)
        return size;
    *origin = '\0';
    return (size_t)(origin - error);
}

static void *create_string(const redisReadTask *task, char *bytes, size_t size)
{
    redisReply *reply = make_reply(task, task->type);

    if (!reply)
        return NULL;
    reply->str = arena_alloc(task->privdata, size + 1);
    if (!reply->str)
        return NULL;
    memcpy(reply->str, bytes, size);
    reply->str[size] = '\0';
    reply->len = task->type == REDIS_REPLY_ERROR ? cut_origin(reply->str, size) : size;
    return reply;
}

static void *create_array(const redisReadTask *task, element_count count)
{
    redisReply *reply = make_reply(task, REDIS_REPLY_ARRAY);
    size_t elements = count > 0 ? (size_t)count : 0;

    if (!reply || elements == 0)
        return reply;
    if (elements > SIZE_MAX / sizeof(*reply->element))
        return NULL;
    reply->element = arena_alloc(task->privdata, elements * sizeof(*reply->element));
    if (!reply->element)
        return NULL;
    reply->elements = elements;
    return reply;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    redisReply *reply = make_reply(task, REDIS_REPLY_INTEGER);

    if (reply)
        reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return make_reply(task, REDIS_REPLY_NIL);
}

static void free_object(void *object)
{
    (void)object; /* the arena is reset by the next reply */
}

/* We never ask for RESP3, whose doubles and booleans hiredis 1.x could build as well. */
static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_object,
};

void reply_use_arena(redisAsyncContext *context, struct arena *arena)
{
    redisReader *reader = context->c.reader;

    reader->fn = &functions;
    reader->privdata = arena;
    reader->maxbuf = (size_t)256 * 1024; /* not given back and allocated anew after each reply */
}

bool reply_is_error(const redisReply *reply, const char *code)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    if (!code)
        return true;
    size_t size = strlen(code);
    return strncmp(reply->str, code, size) == 0 && (reply->str[size] == ' ' || reply->str[size] == '\0');
}

bool reply_blames_server(const redisReply *reply)
{
    static const char *const codes[] = {
        "LOADING", "READONLY",   "MASTERDOWN", "NOAUTH",      "WRONGPASS", "DENIED",
        "BUSY",    "NOREPLICAS", "MISCONF",    "CLUSTERDOWN", "TRYAGAIN",
    };
    static const char crowded[] = "ERR max number of clients";

    for (size_t i = 0; i < ELEMENTS(codes); i++)
        if (reply_is_error(reply, codes[i]))
            return true;
    return reply_is_error(reply, NULL) && strncmp(reply->str, crowded, sizeof(crowded) - 1) == 0;
}
