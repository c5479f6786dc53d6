/*
 * A handler in the way of programs that have never heard of weft: it hands callbacks to libevent, hiredis, pthreads and
 * the kernel, and each says whose it is. Weft is only called to log, and to wait for the end of it all.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>

#include <weft/hooks.h>
#include <weft/loop.h>
#include <weft/weft.h>

extern char **environ;

/* Both are made by the job that happens to need them first, and used by all. */
static redisAsyncContext *shared_client, *shared_subscriber;

/* What goes on for one job. */
struct flow {
    struct weft_future over;
    unsigned left;
    char id[64];
    char channel[80];
    struct event_base *base;
    struct event *timer, *repeated, *rearmed, *active, *output;
    unsigned repetitions, arms;
    struct bufferevent *pair[2];
    pthread_t thread;
    int thread_fds[2], fork_fds[2], child_fd;
    struct event *thread_event, *fork_event;
    pid_t child, copy;
};

static void is_done(struct flow *flow)
{
    if (--flow->left == 0)
        weft_future_complete(&flow->over, 0);
}

static void say(struct flow *flow, const char *what)
{
    weft_info("%s of %s", what, flow->id);
    is_done(flow);
}

/* ---- Events ---- */

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    say(arg, "timer");
}

static void repeated_fired(evutil_socket_t fd, short what, void *arg)
{
    struct flow *flow = arg;

    (void)fd;
    (void)what;
    if (++flow->repetitions == 3)
        event_del(flow->repeated);
    say(flow, "repeated timer");
}

static void rearmed_fired(evutil_socket_t fd, short what, void *arg)
{
    struct flow *flow = arg;
    struct timeval soon = {0, 1000};

    (void)fd;
    (void)what;
    if (++flow->arms < 3)
        event_add(flow->rearmed, &soon);
    say(flow, "rearmed timer");
}

static void once_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    say(arg, "once");
}

static void activated(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    say(arg, "active");
}

static void start_events(struct flow *flow)
{
    struct timeval soon = {0, 1000 + rand() % 5000};

    flow->left += 1 + 3 + 3 + 1 + 1;
    flow->timer = evtimer_new(flow->base, timer_fired, flow);
    event_add(flow->timer, &soon);
    flow->repeated = event_new(flow->base, -1, EV_PERSIST, repeated_fired, flow);
    event_add(flow->repeated, &soon);
    flow->rearmed = evtimer_new(flow->base, rearmed_fired, flow);
    event_add(flow->rearmed, &soon);
    event_base_once(flow->base, -1, EV_TIMEOUT, once_fired, flow, &soon);
    flow->active = event_new(flow->base, -1, 0, activated, flow);
    event_active(flow->active, 0, 0);
}

/* ---- Bufferevents ---- */

static void was_read(struct bufferevent *bev, void *arg)
{
    char text[64];
    size_t size = bufferevent_read(bev, text, sizeof(text));

    weft_info("read of %.*s", (int)size, text);
    is_done(arg);
}

static void start_bufferevents(struct flow *flow)
{
    int ends[2];

    flow->left += 1;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
    for (int i = 0; i < 2; i++)
        flow->pair[i] =
            bufferevent_socket_new(flow->base, ends[i], BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS * i);
    bufferevent_setcb(flow->pair[1], was_read, NULL, NULL, flow);
    bufferevent_enable(flow->pair[1], EV_READ);
    bufferevent_write(flow->pair[0], flow->id, strlen(flow->id));
}

/* ---- Redis ---- */

static redisAsyncContext *connect_to(struct flow *flow, const char *path)
{
    redisAsyncContext *client = redisAsyncConnectUnix(path);

    redisLibeventAttach(client, flow->base);
    return client;
}

static void answered(redisAsyncContext *client, void *answer, void *arg)
{
    redisReply *reply = answer;

    (void)client;
    weft_info("reply of %s", reply ? reply->str : "nobody");
    is_done(arg);
}

static void executed(redisAsyncContext *client, void *answer, void *arg)
{
    redisReply *reply = answer;

    (void)client;
    weft_info("transaction of %s", reply && reply->elements == 1 ? reply->element[0]->str : "nobody");
    is_done(arg);
}

static void heard(redisAsyncContext *client, void *answer, void *arg)
{
    struct flow *flow = arg;
    redisReply *reply = answer;

    if (!reply)
        return;
    if (strcmp(reply->element[0]->str, "subscribe") == 0) {
        redisAsyncCommand(shared_client, NULL, NULL, "PUBLISH %s %s", flow->channel, flow->id);
    } else if (strcmp(reply->element[0]->str, "message") == 0) {
        weft_info("message of %s", reply->element[2]->str);
        redisAsyncCommand(client, NULL, NULL, "UNSUBSCRIBE %s", flow->channel);
    } else {
        say(flow, "unsubscription");
    }
}

static void start_redis(struct flow *flow, const char *path)
{
    if (!shared_client) {
        shared_client = connect_to(flow, path);
        shared_subscriber = connect_to(flow, path);
    }
    flow->left += 2 + 1 + 1;
    redisAsyncCommand(shared_client, answered, flow, "ECHO %s", flow->id);
    redisAsyncCommand(shared_client, NULL, NULL, "MULTI");
    redisAsyncCommand(shared_client, NULL, NULL, "ECHO %s", flow->id);
    redisAsyncCommand(shared_client, executed, flow, "EXEC");
    redisAsyncCommand(shared_client, answered, flow, "ECHO %s", flow->id);
    redisAsyncCommand(shared_subscriber, heard, flow, "SUBSCRIBE %s", flow->channel);
}

/* ---- Threads ---- */

static void *run_thread(void *arg)
{
    struct flow *flow = arg;

    weft_info("thread of %s", flow->id);
    return write(flow->thread_fds[1], "x", 1) == 1 ? arg : NULL;
}

static void thread_is_done(evutil_socket_t fd, short what, void *arg)
{
    struct flow *flow = arg;

    (void)fd;
    (void)what;
    pthread_join(flow->thread, NULL);
    say(flow, "thread's end");
}

static void start_thread(struct flow *flow)
{
    flow->left += 1;
    pipe2(flow->thread_fds, O_CLOEXEC);
    flow->thread_event = event_new(flow->base, flow->thread_fds[0], EV_READ, thread_is_done, flow);
    event_add(flow->thread_event, NULL);
    pthread_create(&flow->thread, NULL, run_thread, flow);
}

/* ---- Processes ---- */

/* What `sh` found in its environment. */
static void child_spoke(evutil_socket_t fd, short what, void *arg)
{
    struct flow *flow = arg;
    char text[256];
    ssize_t size = read(fd, text, sizeof(text));

    (void)what;
    if (size > 0) {
        weft_info("child of %.*s", (int)size - 1, text);
        return;
    }
    event_del(flow->output);
    waitpid(flow->child, NULL, 0);
    say(flow, "child's end");
}

static void start_child(struct flow *flow)
{
    char *words[] = {"sh", "-c", "echo $WEFT_JOB_ID $WEFT_JOB_TYPE $WEFT_ATTEMPT $TRACEPARENT $WEFT_META_TENANT", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];

    flow->left += 1;
    pipe2(ends, O_CLOEXEC);
    flow->child_fd = ends[0];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn(&flow->child, "/bin/sh", &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    flow->output = event_new(flow->base, ends[0], EV_READ | EV_PERSIST, child_spoke, flow);
    event_add(flow->output, NULL);
}

static void copy_has_ended(evutil_socket_t fd, short what, void *arg)
{
    struct flow *flow = arg;

    (void)fd;
    (void)what;
    waitpid(flow->copy, NULL, 0);
    say(flow, "copy's end");
}

static void start_copy(struct flow *flow)
{
    flow->left += 1;
    pipe2(flow->fork_fds, O_CLOEXEC);
    flow->copy = fork();
    if (flow->copy == 0) {
        const char *id = getenv("WEFT_JOB_ID");

        weft_info("copy of %s", id ? id : "nobody");
        _exit(0);
    }
    close(flow->fork_fds[1]);
    flow->fork_event = event_new(flow->base, flow->fork_fds[0], EV_READ, copy_has_ended, flow);
    event_add(flow->fork_event, NULL);
}

/* ---- The handler ---- */

static void free_flow(struct flow *flow)
{
    struct event *events[] = {flow->timer,  flow->repeated,     flow->rearmed,   flow->active,
                              flow->output, flow->thread_event, flow->fork_event};

    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
        if (events[i])
            event_free(events[i]);
    for (int i = 0; i < 2; i++)
        if (flow->pair[i])
            bufferevent_free(flow->pair[i]);
    close(flow->thread_fds[0]);
    close(flow->thread_fds[1]);
    close(flow->fork_fds[0]);
    close(flow->child_fd);
    free(flow);
}

/* The payload is the path of Redis's socket. */
static int everything(struct weft_job *job)
{
    struct flow *flow = calloc(1, sizeof(*flow));

    snprintf(flow->id, sizeof(flow->id), "%s", weft_job_id(job));
    snprintf(flow->channel, sizeof(flow->channel), "channel:%s", flow->id);
    flow->base = weft_loop_base();
    weft_future_init(&flow->over);
    start_events(flow);
    start_bufferevents(flow);
    start_redis(flow, weft_job_payload(job, NULL));
    start_thread(flow);
    start_child(flow);
    start_copy(flow);
    if (weft_future_wait(&flow->over, NULL) < 0)
        return -errno; /* what goes on still uses the flow */
    free_flow(flow);
    return 0;
}

/* Says what is followed though it is not of this plugin: weft's own timers and connections are nobody's. */
static void look(const struct weft_operation *operation, void *user)
{
    static const char *const kinds[] = {"timer", "fd", "signal", "once", "event", "redis", "thread", "child"};
    Dl_info here, there;

    (void)user;
    if (!dladdr((void *)look, &here) || (dladdr(operation->place, &there) && there.dli_fbase == here.dli_fbase))
        return;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(operation->kind, kinds[i]) == 0)
            weft_warn("weft follows a %s of its own", operation->kind);
}

static struct weft_hook hook = {.init = look};

static int start(void)
{
    weft_hook_add(&hook);
    return 0;
}

static void stop(void)
{
    weft_hook_remove(&hook);

    if (shared_client) {
        redisAsyncFree(shared_client);
        redisAsyncFree(shared_subscriber);
    }
}

WEFT_PLUGIN_WITH_HOOKS("plain_libevent", start, stop, WEFT_HANDLER("everything", everything));
