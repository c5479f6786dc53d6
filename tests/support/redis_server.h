/*
 * A redis-server of the test's own: on a unix socket in a temporary folder, without a port. It dies with the test.
 * Everything here ends the test program when it fails: without a server nothing can be tested.
 */
#pragma once

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

enum { REDIS_SERVER_WAIT_MS = 20000, REDIS_SERVER_ANSWER_SIZE = 16384, REDIS_SERVER_ANSWERS = 8 };

struct redis_server {
    char folder[64];
    char socket[96];
    const char *password; /* NULL: none */
    bool durable;         /* survives a restart */
    bool slow_to_load;    /* each thing that it kept takes it 200 us */
    pid_t pid;
    redisContext *context; /* a connection for the test's own questions; NULL while the server is down */
};

static inline void redis_server_die(const char *what)
{
    (void)fprintf(stderr, "redis-server for the test: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static inline void redis_server_sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static inline void redis_server_exec(const struct redis_server *server)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--dir", server->folder,
                 "--save", "", "--appendonly", server->durable ? "yes" : "no", "--appendfsync", "always", "--logfile",
                 "log", "--key-load-delay", server->slow_to_load ? "200" : "0", "--requirepass",
                 server->password ? server->password : "", (char *)NULL);
    redis_server_die("redis-server cannot be run; is it installed?");
}

/* Starts it, without waiting for it. */
static inline void redis_server_launch(struct redis_server *server)
{
    server->pid = fork();
    if (server->pid < 0)
        redis_server_die("fork");
    if (server->pid == 0)
        redis_server_exec(server);
}

/* Waits until it answers. */
static inline void redis_server_meet(struct redis_server *server)
{
    for (int waited_ms = 0; waited_ms < REDIS_SERVER_WAIT_MS; waited_ms += 5) {
        server->context = redisConnectUnix(server->socket);
        if (server->context && !server->context->err) {
            redisReply *reply = NULL;

            if (server->password)
                freeReplyObject(redisCommand(server->context, "AUTH %s", server->password));
            reply = redisCommand(server->context, "PING");
            bool ready = reply && reply->type == REDIS_REPLY_STATUS;

            freeReplyObject(reply);
            if (ready)
                return;
        }
        redisFree(server->context);
        server->context = NULL;
        redis_server_sleep_ms(5);
    }
    redis_server_die("it does not answer");
}

/* Starts it, again after redis_server_kill() with what it kept if it is durable. */
static inline void redis_server_up(struct redis_server *server)
{
    redis_server_launch(server);
    redis_server_meet(server);
}

static inline void redis_server_start(struct redis_server *server)
{
    (void)snprintf(server->folder, sizeof(server->folder), "/tmp/weft-test-redis-XXXXXX");
    if (!mkdtemp(server->folder))
        redis_server_die("mkdtemp");
    (void)snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->folder);
    redis_server_up(server);
}

static inline void redis_server_kill(struct redis_server *server)
{
    if (server->context)
        redisFree(server->context);
    server->context = NULL;
    if (server->pid > 0) {
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
        (void)unlink(server->socket);
    }
    server->pid = 0;
}

static inline int redis_server_remove(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void redis_server_stop(struct redis_server *server)
{
    redis_server_kill(server);
    (void)nftw(server->folder, redis_server_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- Questions ---- */

static inline void redis_server_print_bytes(FILE *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        if (byte < ' ' || byte > '~')
            (void)fprintf(out, "\\x%02x", byte);
        else
            (void)fputc(byte, out);
    }
}

/* Strings as they are, lists in brackets. */
static inline void redis_server_print(FILE *out, const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        (void)fprintf(out, "%lld", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        (void)fprintf(out, "nil");
        break;
    case REDIS_REPLY_ARRAY:
        (void)fputc('[', out);
        for (size_t i = 0; i < reply->elements; i++) {
            (void)fputs(i > 0 ? " " : "", out);
            redis_server_print(out, reply->element[i]);
        }
        (void)fputc(']', out);
        break;
    default:
        redis_server_print_bytes(out, reply->str, reply->len);
        break;
    }
}

/* What Redis answers to a command (hiredis's printf), as text: valid until some more questions have been asked. */
static inline const char *redis_server_ask(struct redis_server *server, const char *format, ...)
{
    static char answers[REDIS_SERVER_ANSWERS][REDIS_SERVER_ANSWER_SIZE];
    static unsigned turn;
    char *answer = answers[turn++ % REDIS_SERVER_ANSWERS];
    FILE *out = fmemopen(answer, REDIS_SERVER_ANSWER_SIZE, "w");
    redisReply *reply;
    va_list arguments;

    va_start(arguments, format);
    reply = redisvCommand(server->context, format, arguments);
    va_end(arguments);
    if (!out || !reply)
        redis_server_die("no answer");
    redis_server_print(out, reply);
    (void)fclose(out);
    freeReplyObject(reply);
    return answer;
}

static inline long long redis_server_count(struct redis_server *server, const char *command)
{
    return strtoll(redis_server_ask(server, command), NULL, 10);
}
