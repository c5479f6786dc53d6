#include "context/propagate/libc/child.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "context/container.h"
#include "context/lock.h"
#include "context/propagate/libc/sanitizer.h"

SANITIZED(waitid);

struct child {
    struct operation operation;
    pid_t pid;
    LIST_ENTRY(child) among_all;
};

/* The count is read without the lock: who waits for a child of its own has seen it begin. */
static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    LIST_HEAD(, child) all;
    unsigned count;
} children = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void describe(const struct operation *operation, char *buffer)
{
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "child %d",
                   (int)container_of(operation, const struct child, operation)->pid);
}

static const struct operation_class child_class = {.kind = "child", .describe = describe};

/* ---- The list ---- */

static void lock(void)
{
    lock_take(&children.lock);
}

static void unlock(void)
{
    lock_give(&children.lock);
}

/* A child has no children yet, and no thread that could hold the lock. */
static void in_child(void)
{
    (void)pthread_mutex_init(&children.lock, NULL);
    LIST_INIT(&children.all);
    children.count = 0;
}

static void start_once(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

static void set_count(unsigned count)
{
    __atomic_store_n(&children.count, count, __ATOMIC_RELAXED);
}

/* Takes the first out that `matches`; NULL: there is none. */
static struct child *take(bool (*matches)(const struct child *child, pid_t pid), pid_t pid)
{
    if (__atomic_load_n(&children.count, __ATOMIC_RELAXED) == 0)
        return NULL;

    lock();
    struct child *child;
    LIST_FOREACH (child, &children.all, among_all)
        if (matches(child, pid))
            break;
    if (child) {
        LIST_REMOVE(child, among_all);
        set_count(children.count - 1);
    }
    unlock();
    return child;
}

/* Without the lock: it runs hooks, and whatever releases the context's values. */
static void end(struct child *child)
{
    operation_end(&child->operation);
    free(child);
}

/* ---- A child's life ---- */

static bool has_pid(const struct child *child, pid_t pid)
{
    return child->pid == pid;
}

static bool is_any(const struct child *child, pid_t pid)
{
    (void)child;
    (void)pid;
    return true;
}

/* Nobody can wait for it any more: it has ended while SIGCHLD was ignored, or was waited for behind our back. */
static bool is_lost(const struct child *child, pid_t pid)
{
    siginfo_t info = {0};

    (void)pid;
    return REAL_OR_SANITIZED(waitid)(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
           errno == ECHILD;
}

/* One that has ended is waited for by its parent, and still is afterwards; or nobody can wait for it any more. */
static bool has_ended(const struct child *child, pid_t pid)
{
    siginfo_t info = {0};
    int r = REAL_OR_SANITIZED(waitid)(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT);

    (void)pid;
    return r < 0 ? errno == ECHILD : info.si_pid != 0;
}

/* Then nobody is told of a child's end, nor can wait for it: there is nothing that would run in its context. */
static bool ends_are_ignored(void)
{
    struct sigaction action;

    return sigaction(SIGCHLD, NULL, &action) == 0 && (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT));
}

void child_begin(pid_t pid, const void *place)
{
    /* In a program in which nothing tends them from time to time. */
    for (struct child *lost = take(is_lost, 0); lost; lost = take(is_lost, 0))
        end(lost);
    if (ends_are_ignored())
        return;
    struct child *child = calloc(1, sizeof(*child));
    if (!child)
        return;
    (void)pthread_once(&children.once, start_once);
    /* The number is free again, so whoever had it is gone. */
    child_reaped(pid);
    child->pid = pid;
    operation_begin(&child->operation, &child_class, place, OPERATION_ELSEWHERE);
    lock();
    LIST_INSERT_HEAD(&children.all, child, among_all);
    set_count(children.count + 1);
    unlock();
}

void child_reaped(pid_t pid)
{
    struct child *child = take(has_pid, pid);

    if (child)
        end(child);
}

void child_tend(void)
{
    int error = errno;

    for (struct child *child = take(has_ended, 0); child; child = take(has_ended, 0))
        end(child);
    errno = error;
}

void child_forget_all(void)
{
    for (struct child *child = take(is_any, 0); child; child = take(is_any, 0))
        end(child);
}
