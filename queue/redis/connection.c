#include "queue/redis/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/util.h>
#include <hiredis/adapters/libevent.h>

#include <weft/log.h>

#include "context/container.h"
#include "context/time.h"
#include "queue/redis/handshake.h"

#define PAUSE_MIN_MS    50
#define PAUSE_MAX_MS    1600  /* recovery on the same host is to take less than 2 s */
#define CONNECT_MAX_MS  5000  /* until the connection is up */
#define SILENCE_MAX_MS  10000 /* until a reply; longer than any blocking read */
#define WATCH_PERIOD_MS 1000

enum redis_state {
    REDIS_PAUSING,    /* until the timer fires */
    REDIS_CONNECTING, /* until the socket is connected */
    REDIS_HANDSHAKE,  /* until the replies to AUTH and the like are there */
    REDIS_UP,
    REDIS_CLOSING, /* until hiredis has let go of the context */
};

/*
 *  PAUSING --> CONNECTING --> HANDSHAKE --> UP --> CLOSING
 *     ^             |              |         |         |
 *     +-------------+--------------+---------+---------+
 */
static const char *const state_names[] = {
    [REDIS_PAUSING] = "pausing", [REDIS_CONNECTING] = "connecting", [REDIS_HANDSHAKE] = "connected",
    [REDIS_UP] = "up",           [REDIS_CLOSING] = "closing",
};

struct handshake {
    struct redis_request request;
    struct redis *redis;
    enum handshake_step step;
};

struct redis {
    struct event_base *base;
    const struct queue_options *options;
    const struct redis_events *events;
    void *user;
    char *name;
    struct health_subject health;

    enum redis_state state;
    redisAsyncContext *context; /* NULL while pausing */
    struct arena arena;         /* of the replies */
    struct event *timer;        /* ends a pause, or looks after a connection that says nothing */
    int64_t pause_ms;
    int64_t quiet_since_ms; /* steady time of the last sign of life */
    size_t outstanding;     /* replies */
    long long client_id;
    struct handshake handshakes[HANDSHAKE_STEPS];
    size_t handshakes_outstanding;
};

static void connect_now(struct redis *redis);

/* ---- The state and its timer ---- */

static void set_state(struct redis *redis, enum redis_state state)
{
    assert(state == REDIS_PAUSING || state == REDIS_CLOSING || state == redis->state + 1);
    weft_debug("connection %s to Redis: %s", redis->name, state_names[state]);
    redis->state = state;
}

static void set_timer(struct redis *redis, int64_t ms)
{
    struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(redis->timer, &time);
}

/* Up to half of a pause less, so that many workers do not come back in step. */
static int64_t vary(int64_t ms)
{
    uint32_t random;

    evutil_secure_rng_get_bytes(&random, sizeof(random));
    return ms - random % (ms / 2 + 1);
}

static void pause_then_connect(struct redis *redis)
{
    bool was_up = redis->state == REDIS_UP || redis->state == REDIS_CLOSING;

    set_state(redis, REDIS_PAUSING);
    redis->context = NULL;
    redis->client_id = 0;
    redis->outstanding = 0;
    set_timer(redis, vary(redis->pause_ms));
    redis->pause_ms = redis->pause_ms * 2 < PAUSE_MAX_MS ? redis->pause_ms * 2 : PAUSE_MAX_MS;
    if (was_up)
        redis->events->down(redis->user);
}

/* hiredis answers what is outstanding with NULL and then calls on_disconnected(), at once or, from inside a reply's
 * callback, after it. A context that has not been connected it just frees. */
static void close_context(struct redis *redis)
{
    redisAsyncContext *context = redis->context;
    assert(context && redis->state != REDIS_PAUSING && redis->state != REDIS_CLOSING);
    bool connected = redis->state == REDIS_HANDSHAKE || redis->state == REDIS_UP;

    if (redis->state == REDIS_UP)
        set_state(redis, REDIS_CLOSING);
    if (!connected)
        context->data = NULL;
    redisAsyncFree(context);
    if (!connected)
        pause_then_connect(redis);
}

void redis_fail(struct redis *redis, const char *command)
{
    if (redis->state != REDIS_HANDSHAKE && redis->state != REDIS_UP)
        return;
    health_set_problem(&redis->health, "cannot serve: %s", command);
    close_context(redis);
}

static void watch_silence(struct redis *redis)
{
    int64_t limit_ms = redis->state == REDIS_UP ? SILENCE_MAX_MS : CONNECT_MAX_MS;
    int64_t quiet_ms = time_steady_ms() - redis->quiet_since_ms;

    if (quiet_ms >= limit_ms && (redis->state != REDIS_UP || redis->outstanding > 0)) {
        health_set_problem(&redis->health, "does not answer");
        close_context(redis);
        return;
    }
    set_timer(redis, WATCH_PERIOD_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    switch (redis->state) {
    case REDIS_PAUSING:
        connect_now(redis);
        break;
    case REDIS_CONNECTING:
    case REDIS_HANDSHAKE:
    case REDIS_UP:
        watch_silence(redis);
        break;
    case REDIS_CLOSING:
        break;
    }
}

/* ---- Requests ---- */

/* A struct redis that has been freed is unhooked from its context, which may live on until the end of a callback. A
 * reply that nobody has asked for, hiredis 0.14 may hand to whoever got the last one.
 *
 * A connection and an accepted password prove nothing: a server that is loading or read-only gives both. An error that
 * is about a command, and not about the server, is an answer as good as success. */
static void on_reply(redisAsyncContext *context, void *received, void *arg)
{
    struct redis *redis = context->data;
    struct redis_request *request = arg;
    const redisReply *reply = received;

    if (!redis || redis->outstanding == 0)
        return;
    redis->outstanding--;
    if (!reply && redis->state == REDIS_UP)
        set_state(redis, REDIS_CLOSING);
    if (reply)
        redis->quiet_since_ms = time_steady_ms();
    if (reply && redis->state == REDIS_UP) {
        if (!reply_blames_server(reply)) {
            redis->pause_ms = PAUSE_MIN_MS;
            health_clear_problem(&redis->health);
        } else if (!request->takes_blame) {
            redis_fail(redis, reply->str);
            reply = NULL;
        }
    }
    if (request->done)
        request->done(request, reply);
}

/* Notes that a reply is awaited; `result` is what hiredis said to the command. */
static int finish_send(struct redis *redis, int result)
{
    if (result != REDIS_OK)
        return -ENOMEM;
    if (redis->outstanding++ == 0)
        redis->quiet_since_ms = time_steady_ms();
    return 0;
}

static int send_command(struct redis *redis, const struct command *command, struct redis_request *request)
{
    if (command->failed)
        return -ENOMEM;
    return finish_send(redis, redisAsyncCommandArgv(redis->context, on_reply, request, (int)command->count,
                                                    command->bytes, command->sizes));
}

int redis_send(struct redis *redis, const struct command *command, struct redis_request *request)
{
    return redis->state == REDIS_UP ? send_command(redis, command, request) : -ENOTCONN;
}

int redis_send_raw(struct redis *redis, const char *command, size_t size, struct redis_request *request)
{
    if (redis->state != REDIS_UP)
        return -ENOTCONN;
    return finish_send(redis, redisAsyncFormattedCommand(redis->context, on_reply, request, command, size));
}

void redis_flush(struct redis *redis)
{
    int done;

    /* An error is kept in the context and found by the next event: to act on it here would free the context, maybe
     * inside one of its own callbacks. */
    if (redis->state == REDIS_UP)
        (void)redisBufferWrite(&redis->context->c, &done);
}

/* ---- Handshake ---- */

static void on_handshake(struct redis_request *request, const redisReply *reply)
{
    struct handshake *handshake = container_of(request, struct handshake, request);
    struct redis *redis = handshake->redis;

    if (!reply)
        return;
    if (reply_is_error(reply, NULL) && (handshake_is_vital(handshake->step) || reply_blames_server(reply))) {
        redis_fail(redis, reply->str);
        return;
    }
    if (handshake->step == HANDSHAKE_ID && reply->type == REDIS_REPLY_INTEGER)
        redis->client_id = reply->integer;
    if (--redis->handshakes_outstanding > 0 || redis->state != REDIS_HANDSHAKE)
        return;
    set_state(redis, REDIS_UP);
    redis->events->up(redis->user);
}

static int send_handshakes(struct redis *redis)
{
    struct command command = {0};
    int r = 0;

    redis->handshakes_outstanding = 0;
    for (unsigned step = 0; step < HANDSHAKE_STEPS && r == 0; step++) {
        handshake_write(step, redis->options, redis->name, &command);
        if (command.count == 0 && !command.failed)
            continue;
        redis->handshakes[step] = (struct handshake){{.done = on_handshake}, redis, step};
        r = send_command(redis, &command, &redis->handshakes[step].request);
        if (r == 0)
            redis->handshakes_outstanding++;
    }
    command_done(&command);
    return r;
}

/* ---- The connection ---- */

static void on_connected(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->data;

    if (!redis)
        return;
    if (status != REDIS_OK) {
        health_set_problem(&redis->health, "cannot be reached: %s", context->errstr);
        pause_then_connect(redis);
        return;
    }
    set_state(redis, REDIS_HANDSHAKE);
    /* Out of memory here means a handshake that never ends, which the timer finds. */
    (void)send_handshakes(redis);
}

/* Where a server turns a connection down, it says why and closes, which may come before our first words are written:
 * then there is an error, but there are words to be read as well. */
static bool read_last_words(const redisAsyncContext *context, char *command, size_t size)
{
    ssize_t got = recv(context->c.fd, command, size - 1, MSG_DONTWAIT);

    command[got > 0 ? got : 0] = '\0';
    command[strcspn(command, "\r\n")] = '\0';
    return command[0] == '-';
}

static void on_disconnected(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->data;
    char command[256];

    if (!redis)
        return;
    if (status != REDIS_OK && redis->state == REDIS_HANDSHAKE && read_last_words(context, command, sizeof(command)))
        health_set_problem(&redis->health, "cannot serve: %s", command + 1);
    else if (status != REDIS_OK)
        health_set_problem(&redis->health, "has ended the connection: %s", context->errstr);
    pause_then_connect(redis);
}

/* The context, or NULL with the problem reported. */
static redisAsyncContext *open_context(struct redis *redis)
{
    const struct queue_options *options = redis->options;
    redisAsyncContext *context;

    if (options->socket_path)
        context = redisAsyncConnectUnix(options->socket_path);
    else
        context = redisAsyncConnect(options->host, options->port);
    if (!context || context->err) {
        health_set_problem(&redis->health, "cannot be reached: %s", context ? context->errstr : strerror(ENOMEM));
        if (context)
            redisAsyncFree(context);
        return NULL;
    }
    return context;
}

static void connect_now(struct redis *redis)
{
    redisAsyncContext *context;

    assert(redis->state == REDIS_PAUSING && !redis->context);
    context = open_context(redis);
    if (!context) {
        pause_then_connect(redis);
        return;
    }
    context->data = redis;
    redis->context = context;
    set_state(redis, REDIS_CONNECTING);
    redis->quiet_since_ms = time_steady_ms();
    reply_use_arena(context, &redis->arena);
    redisLibeventAttach(context, redis->base);
    redisAsyncSetConnectCallback(context, on_connected);
    redisAsyncSetDisconnectCallback(context, on_disconnected);
    set_timer(redis, WATCH_PERIOD_MS);
}

int redis_new(struct event_base *base, const struct queue_options *options, const char *name, struct health *health,
              const struct redis_events *events, void *user, struct redis **ret_redis)
{
    struct redis *redis = calloc(1, sizeof(*redis));

    if (!redis)
        return -ENOMEM;
    redis->base = base;
    redis->options = options;
    redis->health.health = health;
    redis->events = events;
    redis->user = user;
    redis->pause_ms = PAUSE_MIN_MS;
    redis->name = handshake_make_name(name);
    redis->timer = event_new(base, -1, 0, on_timer, redis);
    if (!redis->name || !redis->timer) {
        redis_free(redis);
        return -ENOMEM;
    }
    set_timer(redis, 0);
    *ret_redis = redis;
    return 0;
}

struct redis *redis_free(struct redis *redis)
{
    if (!redis)
        return NULL;
    if (redis->context) {
        redis->context->data = NULL;
        redisAsyncFree(redis->context);
    }
    if (redis->timer)
        event_free(redis->timer);
    arena_done(&redis->arena);
    free(redis->name);
    free(redis);
    return NULL;
}

bool redis_is_up(const struct redis *redis)
{
    return redis->state == REDIS_UP;
}

long long redis_client_id(const struct redis *redis)
{
    return redis->client_id;
}
