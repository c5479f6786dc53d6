#include "helper.h"

#include <pthread.h>
#include <stdlib.h>

#include <event2/event.h>

struct call {
    struct call *next;
    void (*fn)(void *arg);
    void *arg;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct call *calls;
    int is_there;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static struct call *new_call(void (*fn)(void *arg), void *arg)
{
    struct call *call = malloc(sizeof(*call));

    if (!call)
        abort();
    *call = (struct call){.fn = fn, .arg = arg};
    return call;
}

static void *run_pool(void *arg)
{
    for (;;) {
        pthread_mutex_lock(&pool.lock);
        while (!pool.calls)
            pthread_cond_wait(&pool.filled, &pool.lock);
        struct call *call = pool.calls;
        pool.calls = call->next;
        pthread_mutex_unlock(&pool.lock);
        call->fn(call->arg);
        free(call);
    }
    return arg;
}

static void *run_call(void *arg)
{
    struct call *call = arg;

    call->fn(call->arg);
    free(call);
    return NULL;
}

static void start_thread(void *(*start)(void *arg), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, start, arg))
        abort();
    pthread_detach(thread);
}

void helper_on_pool(void (*fn)(void *arg), void *arg)
{
    struct call *call = new_call(fn, arg);

    pthread_mutex_lock(&pool.lock);
    if (!pool.is_there)
        start_thread(run_pool, NULL);
    pool.is_there = 1;
    call->next = pool.calls;
    pool.calls = call;
    pthread_cond_signal(&pool.filled);
    pthread_mutex_unlock(&pool.lock);
}

void helper_on_thread(void (*fn)(void *arg), void *arg)
{
    start_thread(run_call, new_call(fn, arg));
}

/* One timer for all, as a library has it for its connections. */
static struct {
    struct event *event;
    struct call *calls;
} timer;

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct call *calls = timer.calls;

    (void)fd;
    (void)what;
    (void)arg;
    timer.calls = NULL;
    while (calls) {
        struct call *call = calls;

        calls = call->next;
        run_call(call);
    }
}

void helper_on_timer(struct event_base *base, void (*fn)(void *arg), void *arg)
{
    struct call *call = new_call(fn, arg);

    if (!timer.event)
        timer.event = evtimer_new(base, on_timer, NULL);
    call->next = timer.calls;
    timer.calls = call;
    event_add(timer.event, &(struct timeval){.tv_usec = 1000});
}
