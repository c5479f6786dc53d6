/*
 * Handlers that start processes and threads which do not keep to the rules: children that come back or clean up after
 * their parent, a thread that crashes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <weft/loop.h>
#include <weft/weft.h>

/* On the stack of a handler that waits for it. */
struct flow {
    struct weft_future over;
    struct event *event;
    pid_t copy;
};

static void clean_up(void *arg)
{
    (void)arg;
    weft_info("cleaned up");
}

/* A child that comes back from the handler that forked it. */
static int comes_back(struct weft_job *job)
{
    int status;

    weft_defer(job, clean_up, NULL);
    pid_t child = fork();
    if (child == 0)
        return 0;
    while (waitpid(child, &status, WNOHANG) == 0)
        weft_sleep_ms(5);
    weft_info("it ended with %d", WEXITSTATUS(status));
    return 0;
}

static void come_back(evutil_socket_t fd, short what, void *arg)
{
    struct flow *flow = arg;

    (void)fd;
    (void)what;
    flow->copy = fork();
    if (flow->copy > 0)
        weft_future_complete(&flow->over, 0);
}

static int comes_back_from_callback(struct weft_job *job)
{
    struct timeval soon = {0, 1000};
    struct flow flow = {0};
    int status;

    (void)job;
    flow.event = evtimer_new(weft_loop_base(), come_back, &flow);
    event_add(flow.event, &soon);
    if (weft_future_wait(&flow.over, NULL) < 0)
        return -errno;
    event_free(flow.event);
    waitpid(flow.copy, &status, 0);
    weft_info("it ended with %d", WEXITSTATUS(status));
    return 0;
}

static void was_written_to(evutil_socket_t fd, short what, void *arg)
{
    struct flow *flow = arg;

    (void)fd;
    (void)what;
    weft_info("written to");
    weft_future_complete(&flow->over, 0);
}

/* A child that cleans up after its parent, as if it were alone. */
static int cleans_up(struct weft_job *job)
{
    struct flow flow = {0};
    int ends[2];

    (void)job;
    pipe2(ends, O_CLOEXEC);
    flow.event = event_new(weft_loop_base(), ends[0], EV_READ, was_written_to, &flow);
    event_add(flow.event, NULL);
    flow.copy = fork();
    if (flow.copy == 0) {
        event_free(flow.event);
        _exit(0);
    }
    waitpid(flow.copy, NULL, 0);
    if (write(ends[1], "x", 1) != 1 || weft_future_wait(&flow.over, NULL) < 0)
        return -errno;
    event_free(flow.event);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void *crash(void *arg)
{
    weft_info("about to crash");
    *(volatile int *)arg = 0;
    return NULL;
}

static int crashes_on_thread(struct weft_job *job)
{
    pthread_t thread;

    (void)job;
    pthread_create(&thread, NULL, crash, NULL);
    return weft_sleep_ms(60000);
}

WEFT_PLUGIN("forker", WEFT_HANDLER("comes_back", comes_back),
            WEFT_HANDLER("comes_back_from_callback", comes_back_from_callback), WEFT_HANDLER("cleans_up", cleans_up),
            WEFT_HANDLER("crashes_on_thread", crashes_on_thread));
