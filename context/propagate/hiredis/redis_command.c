#include "context/propagate/hiredis/redis_command.h"

#include <string.h>
#include <strings.h>

#include "context/macros.h"

/* ---- Words ---- */

/* "$5\r\nhello\r\n". Gives false for what is no such thing, too: hiredis does not send that. */
static bool next_formatted(struct redis_words *words, struct redis_word *ret_word)
{
    const char *at = memchr(words->next, '$', (size_t)(words->end - words->next));
    size_t size = 0;

    if (!at)
        return false;
    for (at++; at < words->end && *at >= '0' && *at <= '9'; at++)
        size = size * 10 + (size_t)(*at - '0');
    if (words->end - at < 2 || size > (size_t)(words->end - at) - 2)
        return false;
    *ret_word = (struct redis_word){.text = at + 2, .size = size};
    words->next = at + 2 + size;
    return true;
}

bool redis_words_next(struct redis_words *words, struct redis_word *ret_word)
{
    if (words->next)
        return next_formatted(words, ret_word);
    if (words->left == 0)
        return false;
    *ret_word = (struct redis_word){
        .text = *words->words,
        .size = words->sizes ? *words->sizes : strlen(*words->words),
    };
    words->words++;
    if (words->sizes)
        words->sizes++;
    words->left--;
    return true;
}

/* ---- Kinds ---- */

/* As hiredis has it, whatever it makes of other words that begin with a P. */
static const struct special {
    const char *name;
    enum redis_command_kind kind;
    bool needs_more;
} specials[] = {
    {"subscribe", REDIS_COMMAND_SUBSCRIBE, true},
    {"unsubscribe", REDIS_COMMAND_UNSUBSCRIBE, false},
    {"monitor", REDIS_COMMAND_LASTING, false},
    {"ssubscribe", REDIS_COMMAND_LASTING, false},
};

static bool is_called(const struct redis_word *word, const char *name)
{
    return word->size == strlen(name) && strncasecmp(word->text, name, word->size) == 0;
}

static struct redis_command read_command(struct redis_words words)
{
    struct redis_command command = {.rest = words};
    struct redis_word more;

    if (!redis_words_next(&command.rest, &command.name))
        return command;
    struct redis_word name = command.name;
    if (name.size > 0 && (*name.text == 'p' || *name.text == 'P')) {
        command.is_pattern = true;
        name = (struct redis_word){.text = name.text + 1, .size = name.size - 1};
    }
    for (size_t i = 0; i < ELEMENTS(specials); i++) {
        struct redis_words rest = command.rest;

        if (is_called(&name, specials[i].name) && (!specials[i].needs_more || redis_words_next(&rest, &more)))
            command.kind = specials[i].kind;
    }
    return command;
}

struct redis_command redis_command_read(const char *formatted, size_t size)
{
    return read_command((struct redis_words){.next = formatted, .end = formatted + size});
}

struct redis_command redis_command_read_words(int count, const char **words, const size_t *sizes)
{
    return read_command((struct redis_words){.words = words, .sizes = sizes, .left = count > 0 ? (size_t)count : 0});
}

bool redis_format_may_subscribe(const char *format)
{
    return strchr("psumPSUM%", format[strspn(format, " ")]) != NULL;
}
