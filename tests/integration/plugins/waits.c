/*
 * Handlers that wait, each for something else, and some that leave something behind. What waits for ever ends when the
 * job is cancelled or the worker stops, or, where that does not reach it, with the job `release`.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include <weft/loop.h>
#include <weft/weft.h>

#define FOR_EVER 3600000

static atomic_bool released;
static struct weft_context *captured;
static struct event *timer;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int audit(void *arg)
{
    (void)arg;
    return weft_sleep_ms(FOR_EVER); /* line of audit */
}

static int sleeps(struct weft_job *job)
{
    (void)job;
    return weft_sleep_ms(FOR_EVER); /* line of sleeps */
}

static int reads(struct weft_job *job)
{
    int ends[2];

    (void)job;
    if (pipe(ends) < 0)
        return -errno;
    weft_info("reading fd %d", ends[0]);
    int r = weft_wait_fd(ends[0], WEFT_READ, -1);
    close(ends[0]);
    close(ends[1]);
    return r;
}

static int joins(struct weft_job *job)
{
    (void)job;
    return weft_join(weft_spawn("audit", audit, NULL), NULL);
}

static int expects(struct weft_job *job)
{
    struct weft_future future = {0};

    (void)job;
    return weft_future_wait(&future, NULL);
}

static int block(void *arg)
{
    (void)arg;
    while (!released)
        usleep(10000);
    return 0;
}

static int offloads(struct weft_job *job)
{
    (void)job;
    return weft_offload(block, NULL, NULL);
}

static void *work(void *arg)
{
    block(arg);
    return NULL;
}

static int threads(struct weft_job *job)
{
    pthread_t thread;

    (void)job;
    int error = pthread_create(&thread, NULL, work, NULL);
    return error ? -error : -pthread_detach(thread);
}

/* A child process, which ends with the job. */
static int begets(struct weft_job *job)
{
    char *const words[] = {(char *)"sleep", (char *)"3600", NULL};
    pid_t child;

    (void)job;
    int error = posix_spawnp(&child, "sleep", NULL, NULL, words, environ);
    if (error)
        return -error;
    weft_info("child %d", (int)child);
    int r = weft_sleep_ms(FOR_EVER);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return r;
}

static void call(void *arg)
{
    (void)arg;
}

static int calls(struct weft_job *job)
{
    (void)job;
    return weft_call_later(FOR_EVER, call, NULL);
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* A timer as any program would have it. */
static int ticks(struct weft_job *job)
{
    struct timeval hour = {.tv_sec = 3600};

    (void)job;
    timer = evtimer_new(weft_loop_base(), tick, NULL);
    return timer && evtimer_add(timer, &hour) == 0 ? 0 : -ENOMEM; /* line of ticks */
}

/* The job is done; its subtask is not. */
static int outlives(struct weft_job *job)
{
    (void)job;
    return weft_spawn("audit", audit, NULL) ? 0 : -errno; /* line of outlives */
}

static int captures(struct weft_job *job)
{
    (void)job;
    captured = weft_capture();
    return 0;
}

static int crowds(struct weft_job *job)
{
    int count = atoi(weft_job_payload(job, NULL));

    for (int i = 0; i < count; i++)
        if (!weft_spawn("audit", audit, NULL))
            return -errno;
    return 0;
}

/* Names that no terminal should see as they are. */
static int steers(struct weft_job *job)
{
    (void)job;
    return weft_spawn("\033[31mred\n\xff", audit, NULL) ? 0 : -errno;
}

/* Does not let its worker turn to anything else for so many milliseconds. */
static int hogs(struct weft_job *job)
{
    int64_t end_ms = now_ms() + atoi(weft_job_payload(job, NULL));

    while (now_ms() < end_ms)
        ;
    return 0;
}

static int release(struct weft_job *job)
{
    (void)job;
    released = true;
    captured = weft_context_unref(captured);
    if (timer)
        event_free(timer);
    timer = NULL;
    return 0;
}

WEFT_PLUGIN("waits", WEFT_HANDLER("sleeps", sleeps), WEFT_HANDLER("reads", reads), WEFT_HANDLER("joins", joins),
            WEFT_HANDLER("expects", expects), WEFT_HANDLER("offloads", offloads), WEFT_HANDLER("threads", threads),
            WEFT_HANDLER("calls", calls), WEFT_HANDLER("ticks", ticks), WEFT_HANDLER("outlives", outlives),
            WEFT_HANDLER("captures", captures), WEFT_HANDLER("crowds", crowds), WEFT_HANDLER("steers", steers),
            WEFT_HANDLER("hogs", hogs), WEFT_HANDLER("begets", begets), WEFT_HANDLER("release", release));
