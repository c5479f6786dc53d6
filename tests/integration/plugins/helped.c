/* A plugin that has a library of its own do things: on a pool, on threads and from a timer. */
#include <string.h>

#include <event2/event.h>

#include <weft/loop.h>
#include <weft/weft.h>

#include "helper.h"

/* On the stack of the handler, which waits for all of it. */
struct call {
    const char *what;
    char id[WEFT_ID_SIZE];
    struct weft_future over;
};

static void finish(void *arg)
{
    struct call *call = arg;

    weft_future_complete(&call->over, 0);
}

static void speak(void *arg)
{
    const struct call *call = arg;

    weft_info("%s of %s", call->what, call->id);
    weft_post(NULL, finish, arg);
}

static int wait_for(struct call *call)
{
    return weft_future_wait(&call->over, NULL);
}

static int handler(struct weft_job *job)
{
    struct call pool = {.what = "pool"}, thread = {.what = "thread"}, timer = {.what = "timer"};

    (void)strcpy(pool.id, weft_job_id(job));
    (void)strcpy(thread.id, weft_job_id(job));
    (void)strcpy(timer.id, weft_job_id(job));
    helper_on_pool(speak, &pool);
    helper_on_thread(speak, &thread);
    helper_on_timer(weft_loop_base(), speak, &timer);
    wait_for(&pool);
    wait_for(&thread);
    wait_for(&timer);
    return 0;
}

/* ---- At the root, and from a place that has a name ---- */

static void on_root_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static int start(void)
{
    static struct event *event;
    struct timeval often = {.tv_usec = 10000};

    event = event_new(weft_loop_base(), -1, EV_PERSIST, on_root_timer, NULL);
    return event && event_add(event, &often) == 0 ? 0 : -ENOMEM;
}

WEFT_PLUGIN_WITH_HOOKS("helped", start, NULL, WEFT_HANDLER("helped", handler));
