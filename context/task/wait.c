/* What a task can wait for: time, descriptors, futures. */
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#include <event2/event_struct.h>

#include "context/async/operation.h"
#include "context/container.h"
#include "context/propagate/propagate.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "context/time.h"

/* ---- Time ---- */

struct sleeper {
    struct timer timer;
    struct weft_task *task;
    struct operation operation;
};

static void describe_sleep(const struct operation *operation, char *buffer)
{
    const struct sleeper *sleeper = container_of(operation, const struct sleeper, operation);
    int64_t left_us = sleeper->timer.deadline_us - time_steady_us();

    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "sleep, %lld ms left",
                   (long long)(left_us > 0 ? left_us / 1000 : 0));
}

static const struct operation_class sleep_class = {.kind = "sleep", .describe = describe_sleep};

static void wake_sleeper(struct timer *timer)
{
    task_wake(container_of(timer, struct sleeper, timer)->task, 0);
}

int weft_sleep_ms(uint64_t milliseconds)
{
    struct weft_task *task = weft_task_current();
    struct sleeper sleeper = {.timer.fire = wake_sleeper, .task = task};

    if (!task)
        return task_result(-EDEADLK);
    if (task->interruption < 0)
        return task_result(task->interruption);
    if (milliseconds == 0) {
        /* Everything that is ready now runs first. */
        task->state = TASK_WAITING;
        task_wake(task, 0);
        coroutine_suspend(task->coroutine);
        return task_result(task->interruption);
    }
    int r = loop_start_timer(task->loop, &sleeper.timer, timer_deadline_in(milliseconds));
    if (r == 0)
        r = task_wait_as(&sleeper.operation, &sleep_class, NULL, OPERATION_PLACE());
    loop_stop_timer(task->loop, &sleeper.timer);
    return task_result(r);
}

/* ---- Descriptors ---- */

struct fd_wait {
    struct event event;
    struct weft_task *task;
    struct operation operation;
};

static void describe_fd_wait(const struct operation *operation, char *buffer)
{
    const struct fd_wait *wait = container_of(operation, const struct fd_wait, operation);
    short events = event_get_events(&wait->event);

    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "fd %d, %s%s%s", (int)event_get_fd(&wait->event),
                   events & EV_READ ? "read" : "", (events & EV_READ) && (events & EV_WRITE) ? " or " : "",
                   events & EV_WRITE ? "write" : "");
}

static const struct operation_class fd_class = {.kind = "fd", .describe = describe_fd_wait};

static void wake_for_fd(evutil_socket_t fd, short what, void *arg)
{
    int ready = (what & EV_READ ? (int)WEFT_READ : 0) | (what & EV_WRITE ? (int)WEFT_WRITE : 0);

    (void)fd;
    task_wake(((struct fd_wait *)arg)->task, ready ? ready : -ETIMEDOUT);
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

int weft_wait_fd(int fd, unsigned what, int64_t timeout_ms)
{
    struct weft_task *task = weft_task_current();
    struct fd_wait wait = {.task = task};
    int64_t wait_ms = timeout_ms < (int64_t)TIMER_MAX_MS ? timeout_ms : (int64_t)TIMER_MAX_MS;
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
    /* epoll refuses what is read and written without ever blocking. */
    mode_t mode = status.st_mode;
    int ready = 0;
    if (S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode))
        ready = (int)what;
    else if (S_ISCHR(mode))
        ready = ready_now(fd, what);
    if (ready)
        return ready;

    short events = (short)((what & WEFT_READ ? EV_READ : 0) | (what & WEFT_WRITE ? EV_WRITE : 0));
    if (event_assign(&wait.event, task->loop->base, fd, events, wake_for_fd, &wait) < 0)
        return task_result(-EINVAL);
    if (propagate_event_add(&wait.event, timeout_ms < 0 ? NULL : &timeout) < 0)
        return task_result(-ENOMEM);
    int r = task_wait_as(&wait.operation, &fd_class, NULL, OPERATION_PLACE());
    (void)propagate_event_del(&wait.event);
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
    if (offload_is_here()) {
        errno = EDEADLK;
        return;
    }
    if (future->done)
        return;
    future->done = true;
    future->result = result;
    if (future->waiter)
        task_wake(future->waiter, 0);
}

static const struct operation_class future_class = {.kind = "future"};

int weft_future_wait(struct weft_future *future, int *ret_result)
{
    return task_wait_for(future, &future_class, NULL, OPERATION_PLACE(), ret_result);
}
