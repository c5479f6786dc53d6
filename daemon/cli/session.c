#include "daemon/cli/session.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "context/cleanup.h"
#include "daemon/cli/problem.h"
#include "queue/message/rejection.h"
#include "queue/redis/call.h"
#include "queue/redis/handshake.h"

#define CONNECT_SECONDS 5
#define ANSWER_SECONDS  10

/* ---- Asking ---- */

/* Takes the reply over. `error` is errno as hiredis has left it. */
static redisReply *check_reply(const struct session *session, int type, const char *code, redisReply *reply, int error)
{
    if (!reply) {
        const redisContext *context = session->context;

        if (context->err == REDIS_ERR_IO && (error == EAGAIN || error == ETIMEDOUT))
            (void)problem_report(EX_UNAVAILABLE, "Redis at %s has not answered for %d seconds", session->address,
                                 ANSWER_SECONDS);
        else
            (void)problem_report(EX_UNAVAILABLE, "Redis at %s has ended the connection: %s", session->address,
                                 context->errstr);
        return NULL;
    }
    bool is_code = reply->type == REDIS_REPLY_ERROR && code && strncmp(reply->str, code, strlen(code)) == 0;

    if (reply->type == type || is_code)
        return reply;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "OOM ", 4) == 0) {
        (void)problem_report(
            EX_UNAVAILABLE,
            "Redis at %s takes no new jobs: its memory is full (maxmemory); those that it has are run, "
            "which makes room",
            session->address);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        char words[256];

        /* Redis's own words may have pieces of data in them. */
        snprintf(words, sizeof(words), "%s", reply->str);
        for (char *at = words; *at; at++)
            if (*at < ' ' || *at > '~')
                *at = '?';
        (void)problem_report(EX_UNAVAILABLE, "Redis at %s refuses: %s", session->address, words);
    } else {
        (void)problem_report(EX_UNAVAILABLE, "Redis at %s gives an answer that no Redis would give", session->address);
    }
    freeReplyObject(reply);
    return NULL;
}

/* A connection that Redis has closed is no reason to be killed, as a closed stdout is. */
static redisReply *ask_formatted(struct session *session, int type, const char *code, const char *format, va_list args)
{
    assert(session->context);
    sighandler_t before = signal(SIGPIPE, SIG_IGN);
    redisReply *reply = redisvCommand(session->context, format, args);
    int error = errno;

    (void)signal(SIGPIPE, before);
    return check_reply(session, type, code, reply, error);
}

redisReply *session_ask(struct session *session, int type, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisReply *reply = ask_formatted(session, type, NULL, format, args);
    va_end(args);
    return reply;
}

redisReply *session_ask_or(struct session *session, int type, const char *code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisReply *reply = ask_formatted(session, type, code, format, args);
    va_end(args);
    return reply;
}

redisReply *session_ask_words(struct session *session, int type, int count, const char **words, const size_t *sizes)
{
    assert(session->context && count > 0);
    sighandler_t before = signal(SIGPIPE, SIG_IGN);
    redisReply *reply = redisCommandArgv(session->context, count, words, sizes);
    int error = errno;

    (void)signal(SIGPIPE, before);
    return check_reply(session, type, NULL, reply, error);
}

redisReply *session_call_script(struct session *session, int type, const struct queue_script *script,
                                const struct queue_keys *keys, const char *const *arguments, const size_t *sizes,
                                size_t count)
{
    struct command command = {0};
    redisReply *reply = NULL;

    command_start_script(&command, script, QUEUE_KEY_COUNT);
    command_add_queue(&command, keys);
    for (size_t i = 0; i < count; i++)
        command_add(&command, arguments[i], sizes ? sizes[i] : strlen(arguments[i]));
    if (command.failed)
        (void)problem_report_memory();
    else
        reply = session_ask_words(session, type, (int)command.count, command.bytes, command.sizes);
    command_done(&command);
    return reply;
}

redisReply *session_list_readers(struct session *session)
{
    CLEANUP_FREE char *key = queue_keys_readers(session->config->redis.prefix);
    struct command command = {0};
    redisReply *reply = NULL;

    command_start_script(&command, &queue_script_roll, 1);
    if (key)
        command_add_text(&command, key);
    if (!key || command.failed)
        (void)problem_report_memory();
    else
        reply = session_ask_words(session, REDIS_REPLY_ARRAY, (int)command.count, command.bytes, command.sizes);
    command_done(&command);
    return reply;
}

/* ---- Queues ---- */

static int choose_queues(struct session *session, const char *queue)
{
    const struct config *config = session->config;

    session->queues = calloc(config->queue_count, sizeof(*session->queues));
    if (!session->queues)
        return problem_report_memory();
    for (size_t i = 0; i < config->queue_count; i++) {
        const char *name = config->queues[i].name;

        if (queue && strcmp(queue, name) != 0)
            continue;
        if (queue_keys_init(&session->queues[session->queue_count], config->redis.prefix, name) < 0)
            return problem_report_memory();
        session->queue_count++;
    }
    if (session->queue_count)
        return EX_OK;
    char names[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < config->queue_count && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", config->queues[i].name);
    return problem_report(EX_USAGE, "queue %s is not configured; %s has %s%s",
                          rejection_quote(queue, strlen(queue)).text, config->path, names,
                          used < sizeof(names) ? "" : "...");
}

/* ---- Opening ---- */

static int connect_now(struct session *session)
{
    const struct queue_options *options = &session->config->queue_options;
    struct timeval limit = {.tv_sec = CONNECT_SECONDS};

    if (options->socket_path) {
        snprintf(session->address, sizeof(session->address), "%s", options->socket_path);
        session->context = redisConnectUnixWithTimeout(options->socket_path, limit);
    } else {
        snprintf(session->address, sizeof(session->address), "%s:%d", options->host, options->port);
        session->context = redisConnectWithTimeout(options->host, options->port, limit);
    }
    if (!session->context)
        return problem_report_memory();
    if (session->context->err) {
        return problem_report(
            EX_UNAVAILABLE, "Redis at %s cannot be reached: %s%s", session->address, session->context->errstr,
            session->config->redis.kind == CONFIG_REDIS_EMBEDDED ? "; weftd, which starts it, has to run" : "");
    }
    (void)redisSetTimeout(session->context, (struct timeval){.tv_sec = ANSWER_SECONDS});
    return EX_OK;
}

/* Steps whose refusal does no harm are left out: nothing here needs a name or a number. */
static int perform_handshake(struct session *session)
{
    struct command command = {0};
    int status = EX_OK;

    for (unsigned step = 0; step < HANDSHAKE_STEPS && status == EX_OK; step++) {
        handshake_write(step, &session->config->queue_options, "weft", &command);
        if (command.failed)
            status = problem_report_memory();
        if (command.count == 0 || command.failed || !handshake_is_vital(step))
            continue;
        SESSION_REPLY *reply =
            session_ask_words(session, REDIS_REPLY_STATUS, (int)command.count, command.bytes, command.sizes);
        if (!reply)
            status = EX_UNAVAILABLE;
    }
    command_done(&command);
    return status;
}

int session_open(struct session *session, const struct config *config, const char *queue)
{
    assert(config->queue_count > 0);
    *session = (struct session){.config = config};
    int status = choose_queues(session, queue);

    if (status == EX_OK)
        status = connect_now(session);
    if (status == EX_OK)
        status = perform_handshake(session);
    if (status != EX_OK)
        session_close(session);
    return status;
}

void session_close(struct session *session)
{
    if (session->context)
        redisFree(session->context);
    session->context = NULL;
    session->queues = queue_keys_free_all(session->queues, session->queue_count);
}
