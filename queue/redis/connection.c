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

enum connection_state {
    CONNECTION_PAUSING,    /* until the timer fires */
    CONNECTION_CONNECTING, /* until the socket is connected */
    CONNECTION_HANDSHAKE,  /* until the replies to AUTH and the like are there */
    CONNECTION_UP,
    CONNECTION_CLOSING, /* until hiredis has let go of the context */
};

/*
 *  PAUSING --> CONNECTING --> HANDSHAKE --> UP --> CLOSING
 *     ^             |              |         |         |
 *     +-------------+--------------+---------+---------+
 */
static const char *const state_names[] = {
    [CONNECTION_PAUSING] = "pausing", [CONNECTION_CONNECTING] = "connecting", [CONNECTION_HANDSHAKE] = "connected",
    [CONNECTION_UP] = "up",           [CONNECTION_CLOSING] = "closing",
};

struct handshake {
    struct connection_request request;
    struct connection *connection;
    enum handshake_step step;
};

struct connection {
    struct event_base *base;
    const struct queue_options *options;
    const struct connection_events *events;
    void *user;
    char *name;
    struct health_subject health;

    enum connection_state state;
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

static void connect_now(struct connection *connection);

/* ---- The state and its timer ---- */

static void set_state(struct connection *connection, enum connection_state state)
{
    assert(state == CONNECTION_PAUSING || state == CONNECTION_CLOSING || state == connection->state + 1);
    weft_debug("connection %s to Redis: %s", connection->name, state_names[state]);
    connection->state = state;
}

static void set_timer(struct connection *connection, int64_t ms)
{
    struct timeval time = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_add(connection->timer, &time);
}

/* Up to half of a pause less, so that many workers do not come back in step. */
static int64_t vary(int64_t ms)
{
    uint32_t random;

    evutil_secure_rng_get_bytes(&random, sizeof(random));
    return ms - random % (ms / 2 + 1);
}

static void pause_then_connect(struct connection *connection)
{
    bool was_up = connection->state == CONNECTION_UP || connection->state == CONNECTION_CLOSING;

    set_state(connection, CONNECTION_PAUSING);
    connection->context = NULL;
    connection->client_id = 0;
    connection->outstanding = 0;
    set_timer(connection, vary(connection->pause_ms));
    connection->pause_ms = connection->pause_ms * 2 < PAUSE_MAX_MS ? connection->pause_ms * 2 : PAUSE_MAX_MS;
    if (was_up)
        connection->events->down(connection->user);
}

/* hiredis answers what is outstanding with NULL and then calls on_disconnected(), at once or, from inside a reply's
 * callback, after it. A context that has not been connected it just frees. */
static void close_context(struct connection *connection)
{
    redisAsyncContext *context = connection->context;
    assert(context && connection->state != CONNECTION_PAUSING && connection->state != CONNECTION_CLOSING);
    bool connected = connection->state == CONNECTION_HANDSHAKE || connection->state == CONNECTION_UP;

    if (connection->state == CONNECTION_UP)
        set_state(connection, CONNECTION_CLOSING);
    if (!connected)
        context->data = NULL;
    redisAsyncFree(context);
    if (!connected)
        pause_then_connect(connection);
}

void connection_fail(struct connection *connection, const char *error)
{
    if (connection->state != CONNECTION_HANDSHAKE && connection->state != CONNECTION_UP)
        return;
    health_set_problem(&connection->health, "cannot serve: %s", error);
    close_context(connection);
}

static void watch_silence(struct connection *connection)
{
    int64_t limit_ms = connection->state == CONNECTION_UP ? SILENCE_MAX_MS : CONNECT_MAX_MS;
    int64_t quiet_ms = time_steady_ms() - connection->quiet_since_ms;

    if (quiet_ms >= limit_ms && (connection->state != CONNECTION_UP || connection->outstanding > 0)) {
        health_set_problem(&connection->health, "does not answer");
        close_context(connection);
        return;
    }
    set_timer(connection, WATCH_PERIOD_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct connection *connection = arg;

    (void)fd;
    (void)what;
    switch (connection->state) {
    case CONNECTION_PAUSING:
        connect_now(connection);
        break;
    case CONNECTION_CONNECTING:
    case CONNECTION_HANDSHAKE:
    case CONNECTION_UP:
        watch_silence(connection);
        break;
    case CONNECTION_CLOSING:
        break;
    }
}

/* ---- Requests ---- */

/* A struct connection that has been freed is unhooked from its context, which may live on until the end of a callback.
 * A reply that nobody has asked for, hiredis 0.14 may hand to whoever got the last one.
 *
 * A connection and an accepted password prove nothing: a server that is loading or read-only gives both. An error that
 * is about a command, and not about the server, is an answer as good as success. */
static void on_reply(redisAsyncContext *context, void *received, void *arg)
{
    struct connection *connection = context->data;
    struct connection_request *request = arg;
    const redisReply *reply = received;

    if (!connection || connection->outstanding == 0)
        return;
    connection->outstanding--;
    if (!reply && connection->state == CONNECTION_UP)
        set_state(connection, CONNECTION_CLOSING);
    if (reply)
        connection->quiet_since_ms = time_steady_ms();
    if (reply && connection->state == CONNECTION_UP) {
        if (!reply_blames_server(reply)) {
            connection->pause_ms = PAUSE_MIN_MS;
            health_clear_problem(&connection->health);
        } else if (!request->takes_blame) {
            connection_fail(connection, reply->str);
            reply = NULL;
        }
    }
    if (request->done)
        request->done(request, reply);
}

/* Notes that a reply is awaited; `result` is what hiredis said to the command. */
static int finish_send(struct connection *connection, int result)
{
    if (result != REDIS_OK)
        return -ENOMEM;
    if (connection->outstanding++ == 0)
        connection->quiet_since_ms = time_steady_ms();
    return 0;
}

static int send_command(struct connection *connection, const struct command *command,
                        struct connection_request *request)
{
    if (command->failed)
        return -ENOMEM;
    return finish_send(connection, redisAsyncCommandArgv(connection->context, on_reply, request, (int)command->count,
                                                         command->bytes, command->sizes));
}

int connection_send(struct connection *connection, const struct command *command, struct connection_request *request)
{
    return connection->state == CONNECTION_UP ? send_command(connection, command, request) : -ENOTCONN;
}

int connection_send_raw(struct connection *connection, const char *command, size_t size,
                        struct connection_request *request)
{
    if (connection->state != CONNECTION_UP)
        return -ENOTCONN;
    return finish_send(connection, redisAsyncFormattedCommand(connection->context, on_reply, request, command, size));
}

void connection_flush(struct connection *connection)
{
    int done;

    /* An error is kept in the context and found by the next event: to act on it here would free the context, maybe
     * inside one of its own callbacks. */
    if (connection->state == CONNECTION_UP)
        (void)redisBufferWrite(&connection->context->c, &done);
}

/* ---- Handshake ---- */

static void on_handshake(struct connection_request *request, const redisReply *reply)
{
    struct handshake *handshake = container_of(request, struct handshake, request);
    struct connection *connection = handshake->connection;

    if (!reply)
        return;
    if (reply_is_error(reply, NULL) && (handshake_is_vital(handshake->step) || reply_blames_server(reply))) {
        connection_fail(connection, reply->str);
        return;
    }
    if (handshake->step == HANDSHAKE_ID && reply->type == REDIS_REPLY_INTEGER)
        connection->client_id = reply->integer;
    if (--connection->handshakes_outstanding > 0 || connection->state != CONNECTION_HANDSHAKE)
        return;
    set_state(connection, CONNECTION_UP);
    connection->events->up(connection->user);
}

static int send_handshakes(struct connection *connection)
{
    struct command command = {0};
    int r = 0;

    connection->handshakes_outstanding = 0;
    for (unsigned step = 0; step < HANDSHAKE_STEPS && r == 0; step++) {
        handshake_write(step, connection->options, connection->name, &command);
        if (command.count == 0 && !command.failed)
            continue;
        connection->handshakes[step] = (struct handshake){{.done = on_handshake}, connection, step};
        r = send_command(connection, &command, &connection->handshakes[step].request);
        if (r == 0)
            connection->handshakes_outstanding++;
    }
    command_done(&command);
    return r;
}

/* ---- The connection ---- */

static void on_connected(const redisAsyncContext *context, int status)
{
    struct connection *connection = context->data;

    if (!connection)
        return;
    if (status != REDIS_OK) {
        health_set_problem(&connection->health, "cannot be reached: %s", context->errstr);
        pause_then_connect(connection);
        return;
    }
    set_state(connection, CONNECTION_HANDSHAKE);
    /* Out of memory here means a handshake that never ends, which the timer finds. */
    (void)send_handshakes(connection);
}

/* Where a server turns a connection down, it says why and closes, which may come before our first command is written:
 * then there is an error, but there is a reply to be read as well. */
static bool read_last_error(const redisAsyncContext *context, char *error, size_t size)
{
    ssize_t got = recv(context->c.fd, error, size - 1, MSG_DONTWAIT);

    error[got > 0 ? got : 0] = '\0';
    error[strcspn(error, "\r\n")] = '\0';
    return error[0] == '-';
}

static void on_disconnected(const redisAsyncContext *context, int status)
{
    struct connection *connection = context->data;
    char error[256];

    if (!connection)
        return;
    if (status != REDIS_OK && connection->state == CONNECTION_HANDSHAKE &&
        read_last_error(context, error, sizeof(error)))
        health_set_problem(&connection->health, "cannot serve: %s", error + 1);
    else if (status != REDIS_OK)
        health_set_problem(&connection->health, "has ended the connection: %s", context->errstr);
    pause_then_connect(connection);
}

/* The context, or NULL with the problem reported. */
static redisAsyncContext *open_context(struct connection *connection)
{
    const struct queue_options *options = connection->options;
    redisAsyncContext *context;

    if (options->socket_path)
        context = redisAsyncConnectUnix(options->socket_path);
    else
        context = redisAsyncConnect(options->host, options->port);
    if (!context || context->err) {
        health_set_problem(&connection->health, "cannot be reached: %s", context ? context->errstr : strerror(ENOMEM));
        if (context)
            redisAsyncFree(context);
        return NULL;
    }
    return context;
}

static void connect_now(struct connection *connection)
{
    redisAsyncContext *context;

    assert(connection->state == CONNECTION_PAUSING && !connection->context);
    context = open_context(connection);
    if (!context) {
        pause_then_connect(connection);
        return;
    }
    context->data = connection;
    connection->context = context;
    set_state(connection, CONNECTION_CONNECTING);
    connection->quiet_since_ms = time_steady_ms();
    reply_use_arena(context, &connection->arena);
    redisLibeventAttach(context, connection->base);
    redisAsyncSetConnectCallback(context, on_connected);
    redisAsyncSetDisconnectCallback(context, on_disconnected);
    set_timer(connection, WATCH_PERIOD_MS);
}

int connection_new(struct event_base *base, const struct queue_options *options, const char *name,
                   struct health *health, const struct connection_events *events, void *user,
                   struct connection **ret_redis)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (!connection)
        return -ENOMEM;
    connection->base = base;
    connection->options = options;
    connection->health.health = health;
    connection->events = events;
    connection->user = user;
    connection->pause_ms = PAUSE_MIN_MS;
    connection->name = handshake_make_name(name);
    connection->timer = event_new(base, -1, 0, on_timer, connection);
    if (!connection->name || !connection->timer) {
        connection_free(connection);
        return -ENOMEM;
    }
    set_timer(connection, 0);
    *ret_redis = connection;
    return 0;
}

struct connection *connection_free(struct connection *connection)
{
    if (!connection)
        return NULL;
    if (connection->context) {
        connection->context->data = NULL;
        redisAsyncFree(connection->context);
    }
    if (connection->timer)
        event_free(connection->timer);
    arena_done(&connection->arena);
    free(connection->name);
    free(connection);
    return NULL;
}

bool connection_is_up(const struct connection *connection)
{
    return connection->state == CONNECTION_UP;
}

long long connection_client_id(const struct connection *connection)
{
    return connection->client_id;
}
