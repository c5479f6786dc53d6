/* A shared object of which several are made that differ in a name that is written in its code. */
#include <event2/event.h>

#include <weft/context.h>

static const char name[] = LITERAL;

const char *module_literal(void);
const char *module_get(void);
struct event *module_arm(struct event_base *base, const char **ret_seen);

/* The name's address: two of these objects may have theirs in the same place, one after the other. */
const char *module_literal(void)
{
    return name;
}

const char *module_get(void)
{
    return weft_get_literal_(name);
}

static void see(evutil_socket_t fd, short what, void *ret_seen)
{
    (void)fd;
    (void)what;
    *(const char **)ret_seen = weft_get("a");
}

/* A timer of its own, whose callback notes what it sees as `a`. */
struct event *module_arm(struct event_base *base, const char **ret_seen)
{
    static const struct timeval soon = {.tv_usec = 1};
    struct event *event = evtimer_new(base, see, ret_seen);

    if (event && evtimer_add(event, &soon) < 0) {
        event_free(event);
        return NULL;
    }
    return event;
}
