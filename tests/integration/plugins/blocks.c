/*
 * Handlers that block the thread they are on, each in its way: for job types with `blocking: true`, and some for
 * weft_offload().
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/loop.h>
#include <weft/weft.h>

static int payload_number(struct weft_job *job)
{
    return atoi(weft_job_payload(job, NULL));
}

/* Sleeps as any code does. */
static int sleeps(struct weft_job *job)
{
    weft_info("sleeping");
    usleep((useconds_t)payload_number(job) * 1000);
    weft_info("slept");
    return weft_result(job, "\"slept\"");
}

/* Blocks for ever, unless it is cancelled: then the socket is shut down, and read() gives 0. */
static void shut(void *arg)
{
    weft_info("shutting down");
    shutdown(*(int *)arg, SHUT_RDWR);
}

static int reads(struct weft_job *job)
{
    int ends[2];
    char byte;

    (void)job;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return -errno;
    int r = weft_on_cancel(shut, &ends[0]);
    if (r < 0)
        return r;
    weft_info("reading");
    ssize_t got = read(ends[0], &byte, 1); /* line of reads */
    weft_info("read %zd, cancelled %d, off %d", got, weft_is_cancelled(), weft_off_cancel(shut, &ends[0]));
    close(ends[0]);
    close(ends[1]);
    return weft_is_cancelled() ? -ECANCELED : 0;
}

static int polls(struct weft_job *job)
{
    int64_t deadline_ms = weft_deadline_ms();

    (void)job;
    weft_info("polling until %s", deadline_ms > 0 && deadline_ms <= 3600000 ? "a deadline" : "nothing");
    while (!weft_is_cancelled())
        usleep(5000);
    weft_info("polled");
    return -ECANCELED;
}

/* Whatever it is told, until the file that the payload names is there. */
static int hang(void *path)
{
    weft_info("hanging");
    while (access(path, F_OK) < 0)
        usleep(10000); /* line of hang */
    weft_info("released");
    return 0;
}

static int hangs(struct weft_job *job)
{
    return hang((void *)(uintptr_t)weft_job_payload(job, NULL));
}

static int hangs_in_pool(struct weft_job *job)
{
    char path[256];

    snprintf(path, sizeof(path), "%s", (const char *)weft_job_payload(job, NULL));
    int r = weft_offload(hang, path, NULL);
    weft_info("came back with %d", r);
    return r;
}

/* In subtasks that nobody waits for, on threads that say so all the time. */
static int chatter(void *arg)
{
    weft_info("chattering");
    while (arg)
        weft_info("on and on"), usleep(200);
    return 0;
}

static int chatter_apart(void *arg)
{
    return weft_offload(chatter, arg, NULL);
}

static int chatters(struct weft_job *job)
{
    for (int i = 0; i < 8; i++)
        if (!weft_spawn("chatter", chatter_apart, job))
            return -errno;
    return weft_sleep_ms(600000) < 0 ? -errno : 0;
}

static int hang_in_pool(void *job)
{
    return hangs_in_pool(job);
}

/* The subtask is still in its call when the job is done. */
static int leaves_hanging(struct weft_job *job)
{
    return weft_spawn("straggler", hang_in_pool, job) ? 0 : -errno;
}

static int joins_hanging(struct weft_job *job)
{
    return weft_join(weft_spawn("straggler", hang_in_pool, job), NULL);
}

static int pauses(struct weft_job *job)
{
    while (!weft_job_payload(job, NULL) || pause() < 0)
        ;
    return 0;
}

/* A fiber, as a neighbour. */
static int naps(struct weft_job *job)
{
    return weft_sleep_ms((uint64_t)payload_number(job)) < 0 ? -errno : 0;
}

static void deferred(void *arg)
{
    weft_info("deferred %s on a %s", (const char *)arg, weft_loop_base() ? "loop" : "thread");
}

static int around(struct weft_job *job)
{
    WEFT_SCOPE();
    int r = weft_set("tenant", "inner");

    if (r == 0)
        r = weft_next(job);
    weft_info("around");
    return r;
}

static int everything(struct weft_job *job)
{
    char id[WEFT_ID_SIZE];
    struct weft_future future = {.done = true};
    struct weft_enqueue_options options = {.queue = "default"};

    errno = 0;
    weft_info("refused %d %d %d %d %d %d", weft_sleep_ms(1) == -EDEADLK && errno == EDEADLK,
              weft_wait_fd(0, WEFT_READ, 0) == -EDEADLK, weft_future_wait(&future, NULL) == -EDEADLK,
              weft_offload(hang, NULL, NULL) == -EDEADLK, weft_call_soon(free, NULL) == -EDEADLK,
              weft_spawn("task", hang, NULL) == NULL && errno == EDEADLK);
    char *words = weft_printf(job, "%s of %s", "words", weft_job_id(job));
    if (!words || weft_defer(job, deferred, words) < 0)
        return -ENOMEM;
    weft_progress(job, "half");
    int r = weft_enqueue("naps", "1", 1, &options, id);
    if (r < 0)
        return r;
    weft_info("enqueued %s", id);
    return weft_result(job, words);
}

static int fails(struct weft_job *job)
{
    return weft_fail(job, "no good");
}

WEFT_PLUGIN("blocks", WEFT_HANDLER("sleeps", sleeps), WEFT_HANDLER("reads", reads), WEFT_HANDLER("polls", polls),
            WEFT_HANDLER("hangs", hangs), WEFT_HANDLER("hangs_in_pool", hangs_in_pool),
            WEFT_HANDLER("leaves_hanging", leaves_hanging), WEFT_HANDLER("joins_hanging", joins_hanging),
            WEFT_HANDLER("chatters", chatters), WEFT_HANDLER("pauses", pauses), WEFT_HANDLER("naps", naps),
            WEFT_HANDLER("around", around), WEFT_HANDLER("everything", everything), WEFT_HANDLER("fails", fails));
