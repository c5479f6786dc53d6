/* A shared object that adds events: to the libevent that it finds, or, with OWN_LIBEVENT, to one of its own, as one
 * does that libevent was linked into statically. Debian's libevent.a is not made for that, so that these stand for it.
 */
#include <event2/event.h>

#ifdef OWN_LIBEVENT
int event_add(struct event *event, const struct timeval *timeout)
{
    (void)event;
    (void)timeout;
    return -1;
}
#endif

int module_add(struct event *event);

int module_add(struct event *event)
{
    return event_add(event, NULL);
}
