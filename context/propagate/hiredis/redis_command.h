/*
 * Commands for Redis, as far as hiredis itself looks into them: which of them subscribe, and to what.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct redis_word {
    const char *text;
    size_t size;
};

/* The words of a command that are still to come. */
struct redis_words {
    const char *next, *end; /* of a formatted command; NULL: of an array */
    const char **words;
    const size_t *sizes; /* NULL: the words end with a NUL */
    size_t left;
};

/* How long a command's callback lives. */
enum redis_command_kind {
    REDIS_COMMAND_ORDINARY,    /* until its reply */
    REDIS_COMMAND_SUBSCRIBE,   /* until every one of its channels is unsubscribed or subscribed anew */
    REDIS_COMMAND_UNSUBSCRIBE, /* it is never called */
    REDIS_COMMAND_LASTING,     /* as long as the connection */
};

struct redis_command {
    enum redis_command_kind kind;
    bool is_pattern;         /* PSUBSCRIBE, PUNSUBSCRIBE */
    struct redis_word name;  /* empty where the command cannot be read */
    struct redis_words rest; /* the words behind the name */
};

/* Reads a formatted command, or one in words. What is borrowed stays borrowed. */
struct redis_command redis_command_read(const char *formatted, size_t size);
struct redis_command redis_command_read_words(int count, const char **words, const size_t *sizes);

/* The next word, or false: there is none. */
bool redis_words_next(struct redis_words *words, struct redis_word *ret_word);

/* Whether a format of redisAsyncCommand() may become a command that is not ordinary. */
bool redis_format_may_subscribe(const char *format);
