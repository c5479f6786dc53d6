/* What a task can wait for: time, descriptors, futures. And callbacks, which are the other half of futures. */
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <event2/event_struct.h>

#include "context/task.h"
#include "context/witness.h"

/* Sleeps are bounded so that deadlines cannot overflow; a century will do. */
#define SLEEP_MAX_MS (UINT64_C(100) * 366 * 24 * 3600 * 1000)

static int64_t deadline_in(uint64_t milliseconds)
{
    return timer_now_us() + (int64_t)(milliseconds < SLEEP_MAX_MS ? milliseconds : SLEEP_MAX_MS) * 1000;
}

/* ---- Time ---- */

struct sleeper {
    struct timer timer; /* first */
    struct weft_task *task;
};

static void wake_sleeper(struct timer *timer)
{
    task_wake(((struct sleeper *)timer)->task, 0);
}

/* Lets everything that is ready now run first. */
static int yield_once(struct weft_task *task)
{
    if (task->interruption < 0)
        return task->interruption;
    task->state = TASK_WAITING;
    task_wake(task, 0);
    coroutine_suspend(task->coroutine);
    return task->interruption;
}

int weft_sleep_ms(uint64_t milliseconds)
{
    struct weft_task *task = weft_task_current();
    struct sleeper sleeper = {.timer.fire = wake_sleeper, .task = task};

    if (!task)
        return task_result(-EDEADLK);
    if (milliseconds == 0)
        return task_result(yield_once(task));
    if (task->interruption < 0)
        return task_result(task->interruption);
    int r = loop_start_timer(task->loop, &sleeper.timer, deadline_in(milliseconds));
    if (r == 0)
        r = task_wait();
    loop_stop_timer(task->loop, &sleeper.timer);
    return task_result(r);
}

/* ---- Descriptors ---- */

static void wake_for_fd(evutil_socket_t fd, short what, void *arg)
{
    int ready = (what & EV_READ ? (int)WEFT_READ : 0) | (what & EV_WRITE ? (int)WEFT_WRITE : 0);

    (void)fd;
    task_wake(arg, ready ? ready : -ETIMEDOUT);
}

/* What the descriptor is ready for at this moment; 0: nothing. */
static int ready_now(int fd, unsigned what)
{
    short wanted = (short)((what & WEFT_READ ? POLLIN : 0) | (what & WEFT_WRITE ? POLLOUT : 0));
    struct pollfd state = {.fd = fd, .events = wanted};

    if (poll(&state, 1, 0) <= 0)
        return 0;
    bool failed = state.revents & (POLLERR | POLLHUP);
    unsigned ready =
        (state.revents & POLLIN || failed ? WEFT_READ : 0) | (state.revents & POLLOUT || failed ? WEFT_WRITE : 0);
    return (int)(ready & what);
}

/* What a descriptor is ready for that epoll refuses, because reading and writing it never blocks; 0: it is none of
 * those. */
static int ready_always(int fd, mode_t mode, unsigned what)
{
    if (S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode))
        return (int)what;
    return S_ISCHR(mode) ? ready_now(fd, what) : 0;
}

int weft_wait_fd(int fd, unsigned what, int64_t timeout_ms)
{
    struct weft_task *task = weft_task_current();
    struct event event;
    int64_t wait_ms = timeout_ms < (int64_t)SLEEP_MAX_MS ? timeout_ms : (int64_t)SLEEP_MAX_MS;
    struct timeval timeout = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};

    if (!task)
        return task_result(-EDEADLK);
    if (fd < 0 || what == 0 || (what & ~(WEFT_READ | WEFT_WRITE)))
        return task_result(-EINVAL);
    if (task->interruption < 0)
        return task_result(task->interruption);

    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    int ready = ready_always(fd, status.st_mode, what);
    if (ready)
        return ready;

    short events = (short)((what & WEFT_READ ? EV_READ : 0) | (what & WEFT_WRITE ? EV_WRITE : 0));
    if (event_assign(&event, task->loop->base, fd, events, wake_for_fd, task) < 0)
        return task_result(-EINVAL);
    if (event_add(&event, timeout_ms < 0 ? NULL : &timeout) < 0)
        return task_result(-ENOMEM);
    int r = task_wait();
    (void)event_del(&event);
    /* In a turn that finds it ready and out of time at once, libevent tells of the time only. */
    if (r == -ETIMEDOUT && (ready = ready_now(fd, what)))
        r = ready;
    return task_result(r);
}

/* ---- Futures ---- */

void weft_future_init(struct weft_future *future)
{
    *future = (struct weft_future){0};
}

void weft_future_complete(struct weft_future *future, int result)
{
    if (future->done)
        return;
    future->done = true;
    future->result = result;
    if (future->waiter)
        task_wake(future->waiter, 0);
}

int weft_future_wait(struct weft_future *future, int *ret_result)
{
    struct weft_task *task = weft_task_current();

    if (!task)
        return task_result(-EDEADLK);
    if (future->waiter)
        return task_result(-EBUSY);
    if (task->interruption < 0)
        return task_result(task->interruption);
    if (!future->done) {
        future->waiter = task;
        int r = task_wait();
        future->waiter = NULL;
        if (r < 0)
            return task_result(r);
    }
    if (ret_result)
        *ret_result = future->result;
    return 0;
}

/* ---- Callbacks ---- */

struct callback {
    struct loop_item item; /* first */
    struct timer timer;
    struct weft_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    struct weft_context *context;
};

static void run_callback(struct loop_item *item)
{
    struct callback *callback = (struct callback *)item;
    struct current saved;

    current_enter(&saved, callback->context);
    witness_tell(callback->context);
    callback->fn(callback->arg);
    current_leave(&saved);
    witness_tell(current_state.context);
    free(callback);
}

static void callback_is_due(struct timer *timer)
{
    struct callback *callback = (struct callback *)((char *)timer - offsetof(struct callback, timer));

    loop_push(callback->loop, &callback->item);
}

static int callback_new(void (*fn)(void *arg), void *arg, struct callback **ret_callback)
{
    struct weft_loop *loop = loop_current();

    if (!loop || !fn)
        return loop ? -EINVAL : -EPERM;

    struct callback *callback = malloc(sizeof(*callback));
    if (!callback)
        return -ENOMEM;
    *callback = (struct callback){
        .item.run = run_callback,
        .timer.fire = callback_is_due,
        .loop = loop,
        .fn = fn,
        .arg = arg,
        .context = weft_capture(),
    };
    *ret_callback = callback;
    return 0;
}

static void callback_free(struct callback *callback)
{
    (void)weft_context_unref(callback->context);
    free(callback);
}

int weft_call_soon(void (*fn)(void *arg), void *arg)
{
    struct callback *callback;
    int r = callback_new(fn, arg, &callback);

    if (r == 0)
        loop_push(callback->loop, &callback->item);
    return task_result(r);
}

int weft_call_later(uint64_t milliseconds, void (*fn)(void *arg), void *arg)
{
    struct callback *callback;
    int r = callback_new(fn, arg, &callback);

    if (r < 0)
        return task_result(r);
    r = loop_start_timer(callback->loop, &callback->timer, deadline_in(milliseconds));
    if (r < 0)
        callback_free(callback);
    return task_result(r);
}

void task_drop_callbacks(struct weft_loop *loop)
{
    while (loop->ready_first) {
        struct loop_item *item = loop->ready_first;

        loop->ready_first = item->next;
        if (item->run == run_callback)
            callback_free((struct callback *)item);
    }
    loop->ready_last = &loop->ready_first;
    for (struct timer *timer = timer_first(&loop->timers); timer; timer = timer_first(&loop->timers)) {
        timer_stop(&loop->timers, timer);
        if (timer->fire == callback_is_due)
            callback_free((struct callback *)((char *)timer - offsetof(struct callback, timer)));
    }
}
