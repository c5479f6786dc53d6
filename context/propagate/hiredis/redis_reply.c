#include "context/propagate/hiredis/redis_reply.h"

#include <strings.h>

enum { TYPE_STRING = 1, TYPE_ARRAY = 2, TYPE_PUSH = 12 };

/* A reply before hiredis 1.0, and since. */
struct old_reply {
    int type;
    long long integer;
    size_t size;
    const char *text;
    size_t count;
    const void *const *elements;
};

struct new_reply {
    int type;
    long long integer;
    double number;
    size_t size;
    const char *text;
    char verbatim_type[4];
    size_t count;
    const void *const *elements;
};

struct list {
    size_t count;
    const void *const *elements;
    bool is_new;
};

/* Which of the two it is can be told from what is no string, but is where the old reply has its count: an array without
 * elements is never a subscription's. */
static struct list read_list(const void *reply)
{
    const struct old_reply *old = reply;
    const struct new_reply *new = reply;

    if (old->type != TYPE_ARRAY && old->type != TYPE_PUSH)
        return (struct list){0};
    if (old->count > 0)
        return (struct list){.count = old->count, .elements = old->elements};
    return (struct list){.count = new->count, .elements = new->elements, .is_new = true};
}

static struct redis_word read_string(const void *reply, bool is_new)
{
    const struct old_reply *old = reply;
    const struct new_reply *new = reply;

    if (old->type != TYPE_STRING)
        return (struct redis_word){0};
    if (is_new)
        return (struct redis_word){.text = new->text, .size = new->size};
    return (struct redis_word){.text = old->text, .size = old->size};
}

struct redis_notice redis_notice_read(const void *reply)
{
    struct list list = reply ? read_list(reply) : (struct list){0};
    struct redis_notice notice = {0};

    if (list.count < 2)
        return notice;
    struct redis_word kind = read_string(list.elements[0], list.is_new);
    notice.channel = read_string(list.elements[1], list.is_new);
    if (!kind.text || !notice.channel.text)
        return notice;
    notice.is_pattern = *kind.text == 'p' || *kind.text == 'P';
    if (strcasecmp(kind.text + notice.is_pattern, "subscribe") == 0)
        notice.kind = REDIS_NOTICE_SUBSCRIBED;
    else if (strcasecmp(kind.text + notice.is_pattern, "unsubscribe") == 0)
        notice.kind = REDIS_NOTICE_UNSUBSCRIBED;
    return notice;
}
