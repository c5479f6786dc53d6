/*
 * A conversation with Redis: one question after the other, each of which waits for its answer. What goes wrong is
 * reported on stderr here, once, so that commands have only to end.
 */
#pragma once

#include <stddef.h>

#include <hiredis/hiredis.h>

#include "context/macros.h"
#include "daemon/config/config.h"
#include "queue/keys.h"
#include "queue/scripts/scripts.h"

struct session {
    const struct config *config;
    redisContext *context;
    struct queue_keys *queues; /* those that the command is about, in the configuration's order */
    size_t queue_count;
    char address[256]; /* fit for a sentence */
};

/* Connects, authenticates and selects the database; may wait for seconds. `queue` is the one that the session is about;
 * NULL: all that are configured. Gives an exit status; but for EX_OK there is nothing to be closed. */
int session_open(struct session *session, const struct config *config, const char *queue) MUST_CHECK;

/* Closes; harmless on one that is all zero. */
void session_close(struct session *session);

/* Asks (redisCommand()'s format) and gives the reply, which is of the type `type` and is the caller's, to be given to
 * freeReplyObject(). NULL: it was not to be had, which has been reported. */
redisReply *session_ask(struct session *session, int type, const char *format, ...) MUST_CHECK;

/* The same for words that are not known in number. */
redisReply *session_ask_words(struct session *session, int type, int count, const char **words,
                              const size_t *sizes) MUST_CHECK;

/* As session_ask(), and an error whose first word is `code` is given as it is. */
redisReply *session_ask_or(struct session *session, int type, const char *code, const char *format, ...) MUST_CHECK;

/* Redis's clock (ms), and the queues of all nodes, each followed by when one has last said that it reads it. NULL: has
 * been reported. */
redisReply *session_list_readers(struct session *session) MUST_CHECK;

/* Runs a script of queue/scripts/ for one queue with `count` arguments, likewise; `sizes` NULL: they are texts. */
redisReply *session_call_script(struct session *session, int type, const struct queue_script *script,
                                const struct queue_keys *keys, const char *const *arguments, const size_t *sizes,
                                size_t count) MUST_CHECK;

static inline void session_free_reply(redisReply **reply)
{
    if (*reply)
        freeReplyObject(*reply);
}

/* A reply that is given back at the end of its block. */
#define SESSION_REPLY __attribute__((cleanup(session_free_reply))) redisReply
