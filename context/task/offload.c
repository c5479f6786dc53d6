#include "context/task/offload.h"

#include <assert.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <ucontext.h>
#include <unistd.h>

#include <weft/log.h>

#include "context/async/running_job.h"
#include "context/boundary.h"
#include "context/fork_guard.h"
#include "context/lock.h"
#include "context/machinery.h"
#include "context/propagate/propagate.h"
#include "context/task/cancel.h"
#include "context/task/signal_stack.h"
#include "context/task/task.h"
#include "context/time.h"

/* Deep enough for code that was not written for small stacks, such as drivers of databases and resolvers; only the
 * pages that are used take memory. */
enum { THREAD_STACK_SIZE = 1024 * 1024 };

/* How long a thread waits for more to do. */
enum { IDLE_SECONDS = 10 };

/* Frames above the place where the signal struck: the handler's and the kernel's. */
enum { OWN_FRAMES_MAX = 8 };

/* What asks a thread where it is. One that nobody else is likely to use, and that does nothing to the process. */
#define WHERE_SIGNAL (SIGRTMAX - 2)

/* One call, on the stack of the task that waits for it. */
struct offload_call {
    struct offload_call *next;
    int (*fn)(void *arg);
    void *arg;
    struct weft_context *context; /* the task holds the reference */
    struct weft_task *task;
    struct pool_thread *thread;
    bool returned;  /* under the lock; the thread may then end at any time */
    bool abandoned; /* the loop's thread's */
    int result;
};

enum where_state { WHERE_UNKNOWN, WHERE_NOTED };

struct pool_thread {
    struct offload_pool *pool;
    pthread_t id;
    pthread_cond_t work;
    struct offload_call *call; /* under the lock; NULL: it is idle */
    struct pool_thread *next;  /* in the pool's list of idle ones; under the lock */
    bool ends;                 /* unless its function returns */
    atomic_int where;          /* enum where_state */
    size_t frame_count;        /* once it is WHERE_NOTED, and likewise: */
    uintptr_t frames[OFFLOAD_FRAMES_MAX];
};

/* A task that waits for its turn, on its own stack. */
struct turn {
    struct turn *previous, *next;
    struct weft_task *task;
    bool granted;
};

struct offload_pool {
    pthread_mutex_t lock;
    pthread_cond_t gone;        /* the last thread is */
    struct pool_thread *idle;   /* under the lock; the last to become so is the first to work again */
    struct offload_call *done;  /* under the lock; the last one first */
    struct offload_post *posts; /* under the lock; the last one first */
    bool closing;               /* under the lock */
    unsigned threads;           /* under the lock */
    bool has_ended;             /* under the lock: */
    pthread_t ended;            /* the last thread that has ended, which has joined the one before it */
    unsigned limit;             /* of turns */
    unsigned ceiling;           /* the same, while no more threads can be started */
    unsigned taken;             /* turns */
    struct turn *first, *last;  /* that wait */
    unsigned outstanding;       /* calls, abandoned ones among them */
    atomic_uint abandoned;
    int done_fd; /* an eventfd that threads write to */
    struct event *done_event;
};

/* The thread of the pool that this is. */
static _Thread_local struct pool_thread *thread_here;

/* ---- On a pool thread ---- */

struct weft_task *offload_task_here(void)
{
    return thread_here && thread_here->call ? thread_here->call->task : NULL;
}

const void *offload_thread_here(void)
{
    return thread_here && thread_here->call ? thread_here : NULL;
}

bool offload_is_here(void)
{
    return thread_here && !loop_current();
}

void offload_post(struct offload_post *post)
{
    struct offload_pool *pool = thread_here->pool;

    assert(thread_here->call);
    lock_take(&pool->lock);
    post->next = pool->posts;
    pool->posts = post;
    lock_give(&pool->lock);
    (void)eventfd_write(pool->done_fd, 1);
}

MACHINERY static int call_function(void *arg)
{
    const struct offload_call *call = arg;
    struct boundary boundary;
    int result = boundary_call(call->fn, call->arg, &boundary);

    if (__builtin_expect(boundary.thrown, 0))
        boundary_report(&boundary, "an exception has ended a function on a thread");
    return result;
}

/* However the function was left: one that ends its thread, by pthread_exit() or because it was cancelled, has returned
 * all the same, and the thread does not become idle. */
static void return_call(struct pool_thread **thread_place)
{
    struct pool_thread *thread = *thread_place;
    struct offload_pool *pool = thread->pool;
    struct offload_call *call = thread->call;

    fork_guard_check();
    if (thread->ends)
        weft_error("a function on a thread has ended the thread, by pthread_exit() or pthread_cancel()");
    cancel_leave(call->task, thread);
    running_job_set(NULL);

    lock_take(&pool->lock);
    call->returned = true;
    call->next = pool->done;
    pool->done = call;
    thread->call = NULL;
    if (!thread->ends) {
        thread->next = pool->idle;
        pool->idle = thread;
    }
    lock_give(&pool->lock);
    (void)eventfd_write(pool->done_fd, 1);
}

MACHINERY_BOTTOM static void run_call(struct pool_thread *thread)
{
    struct pool_thread *running __attribute__((cleanup(return_call))) = thread;
    struct offload_call *call = thread->call;

    running_job_set(call->context);
    thread->ends = true;
    call->result = OFFLOAD_THREAD_ENDED;
    call->result = weft_run_in(call->context, call_function, call);
    running->ends = false;
}

static void leave_idle(struct offload_pool *pool, struct pool_thread *thread)
{
    struct pool_thread **link = &pool->idle;

    while (*link != thread)
        link = &(*link)->next;
    *link = thread->next;
}

/* Gives whether there is a call; without one, the thread is the pool's no more. */
static bool wait_for_work(struct pool_thread *thread)
{
    struct offload_pool *pool = thread->pool;
    int64_t until_us = time_steady_us() + IDLE_SECONDS * INT64_C(1000000);
    const struct timespec deadline = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    int error = 0;

    lock_take(&pool->lock);
    while (!thread->call && !pool->closing && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&thread->work, &pool->lock, &deadline);
    bool works = thread->call != NULL;
    if (!works)
        leave_idle(pool, thread);
    lock_give(&pool->lock);
    return works;
}

/* Each thread that ends joins the one that ended before it, so that there is never more than one to be joined. */
static void end_thread(struct pool_thread *thread)
{
    struct offload_pool *pool = thread->pool;

    (void)pthread_cond_destroy(&thread->work);
    free(thread);
    lock_take(&pool->lock);
    bool has_previous = pool->has_ended;
    pthread_t previous = pool->ended;
    pool->has_ended = true;
    pool->ended = pthread_self();
    if (--pool->threads == 0)
        (void)pthread_cond_signal(&pool->gone);
    lock_give(&pool->lock);
    if (has_previous)
        (void)pthread_join(previous, NULL);
}

/* What a thread has while it is the pool's. */
struct pool_stay {
    struct pool_thread *thread;
    struct signal_stack signal_stack;
    atomic_uintptr_t running_job;
    bool has_signal_stack; /* without one it works all the same */
};

/* However it ends. */
static void end_stay(struct pool_stay *stay)
{
    running_job_install(NULL);
    thread_here = NULL;
    if (stay->has_signal_stack)
        signal_stack_done(&stay->signal_stack);
    end_thread(stay->thread);
}

MACHINERY_BOTTOM static void *thread_main(void *arg)
{
    struct pool_stay stay __attribute__((cleanup(end_stay))) = {.thread = arg};

    stay.has_signal_stack = signal_stack_init(&stay.signal_stack) == 0;
    thread_here = arg;
    running_job_install(&stay.running_job);
    do
        run_call(arg);
    while (wait_for_work(arg));
    return NULL;
}

/* ---- Where a thread is ---- */

static uintptr_t struck_at(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static void note_where(int number, siginfo_t *info, void *context)
{
    struct pool_thread *thread = thread_here;
    void *frames[OFFLOAD_FRAMES_MAX + OWN_FRAMES_MAX];
    int error = errno;

    (void)number;
    (void)info;
    if (!thread || atomic_load(&thread->where) == WHERE_NOTED)
        return;
    int count = backtrace(frames, OFFLOAD_FRAMES_MAX + OWN_FRAMES_MAX), first = 0;
    uintptr_t struck = struck_at(context);

    while (first < count && (uintptr_t)frames[first] != struck)
        first++;
    if (first == count)
        first = 0;
    thread->frame_count = 0;
    for (int i = first; i < count && thread->frame_count < OFFLOAD_FRAMES_MAX; i++)
        thread->frames[thread->frame_count++] = (uintptr_t)frames[i] + (i == first);
    atomic_store(&thread->where, WHERE_NOTED);
    errno = error;
}

static void install_note_where(void)
{
    struct sigaction action = {.sa_sigaction = note_where, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    void *frame;

    /* The first call loads a library, which is no work for a signal handler. */
    (void)backtrace(&frame, 1);
    (void)sigfillset(&action.sa_mask);
    (void)sigaction(WHERE_SIGNAL, &action, NULL);
}

void offload_ask_where(const struct weft_task *task)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct offload_pool *pool = task->loop->offloads;
    struct offload_call *call = task->call;

    if (!call || call->abandoned)
        return;
    (void)pthread_once(&once, install_note_where);
    /* Under the lock, so that the thread is there: one whose call has returned may have ended. */
    lock_take(&pool->lock);
    if (!call->returned) {
        atomic_store(&call->thread->where, WHERE_UNKNOWN);
        (void)pthread_kill(call->thread->id, WHERE_SIGNAL);
    }
    lock_give(&pool->lock);
}

size_t offload_where(const struct weft_task *task, uintptr_t frames[static OFFLOAD_FRAMES_MAX])
{
    struct offload_pool *pool = task->loop->offloads;
    const struct offload_call *call = task->call;
    size_t count = 0;

    if (!call)
        return 0;
    lock_take(&pool->lock);
    if (!call->returned && atomic_load(&call->thread->where) == WHERE_NOTED)
        for (; count < call->thread->frame_count; count++)
            frames[count] = call->thread->frames[count];
    lock_give(&pool->lock);
    return count;
}

/* ---- Threads ---- */

static struct pool_thread *thread_new(struct offload_pool *pool, struct offload_call *call)
{
    struct pool_thread *thread = calloc(1, sizeof(*thread));
    pthread_condattr_t monotonic;

    if (!thread)
        return NULL;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&thread->work, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    thread->pool = pool;
    thread->call = call;
    return thread;
}

/* Signals are the loop thread's business, but for those that the pool's threads bring on themselves, and the one that
 * asks where they are. */
static int create(struct pool_thread *thread)
{
    pthread_attr_t attributes;
    sigset_t others, old;

    signal_stack_others(&others);
    (void)sigdelset(&others, WHERE_SIGNAL);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    (void)pthread_sigmask(SIG_SETMASK, &others, &old);
    /* A thread serves whoever comes, not only the job that it is started for. */
    struct current saved;
    propagate_suspend(&saved);
    int error = pthread_create(&thread->id, &attributes, thread_main, thread);
    propagate_resume(&saved);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attributes);
    return error ? -EAGAIN : 0;
}

static int start_thread(struct offload_pool *pool, struct offload_call *call)
{
    struct pool_thread *thread = thread_new(pool, call);

    if (!thread)
        return -ENOMEM;
    call->thread = thread;
    lock_take(&pool->lock);
    pool->threads++;
    lock_give(&pool->lock);
    int r = create(thread);
    if (r == 0)
        return 0;
    lock_take(&pool->lock);
    pool->threads--;
    lock_give(&pool->lock);
    (void)pthread_cond_destroy(&thread->work);
    free(thread);
    return r;
}

static bool hand_to_idle(struct offload_pool *pool, struct offload_call *call)
{
    lock_take(&pool->lock);
    struct pool_thread *thread = pool->idle;
    if (thread) {
        pool->idle = thread->next;
        thread->call = call;
        call->thread = thread;
        (void)pthread_cond_signal(&thread->work);
    }
    lock_give(&pool->lock);
    return thread != NULL;
}

/* ---- Turns ---- */

static bool has_room(const struct offload_pool *pool)
{
    return pool->taken < (pool->ceiling < pool->limit ? pool->ceiling : pool->limit);
}

static void unlink_turn(struct offload_pool *pool, const struct turn *turn)
{
    if (turn->previous)
        turn->previous->next = turn->next;
    else
        pool->first = turn->next;
    if (turn->next)
        turn->next->previous = turn->previous;
    else
        pool->last = turn->previous;
}

static void grant_turns(struct offload_pool *pool)
{
    while (pool->first && has_room(pool)) {
        struct turn *turn = pool->first;

        unlink_turn(pool, turn);
        turn->granted = true;
        pool->taken++;
        task_wake(turn->task, 0);
    }
}

static void give_turn(struct offload_pool *pool)
{
    pool->taken--;
    grant_turns(pool);
}

static void describe_turn(const struct operation *operation, char *buffer)
{
    (void)operation;
    (void)snprintf(buffer, OPERATION_DESCRIPTION_SIZE, "thread: all of the pool are taken");
}

static const struct operation_class turn_class = {.kind = "thread", .describe = describe_turn};

static int wait_for_turn(struct offload_pool *pool, struct weft_task *task, const void *place)
{
    struct turn turn = {.task = task, .previous = pool->last};
    struct operation operation = {0};

    if (pool->last)
        pool->last->next = &turn;
    else
        pool->first = &turn;
    pool->last = &turn;
    if (current_state.context)
        operation_begin(&operation, &turn_class, place, OPERATION_BORROWS);
    int r = task_wait();
    operation_end(&operation);
    if (!turn.granted)
        unlink_turn(pool, &turn);
    else if (r < 0)
        give_turn(pool);
    return r;
}

bool offload_is_crowded(void)
{
    const struct offload_pool *pool = weft_task_current()->loop->offloads;

    return pool->first || !has_room(pool);
}

int offload_take_turn(const void *place)
{
    struct weft_task *task = weft_task_current();
    struct offload_pool *pool = task->loop->offloads;

    if (task->interruption < 0)
        return task->interruption;
    if (offload_is_crowded())
        return wait_for_turn(pool, task, place);
    pool->taken++;
    return 0;
}

void offload_give_turn(void)
{
    give_turn(weft_task_current()->loop->offloads);
}

/* ---- Calls ---- */

/* Where no more threads can be started, the call waits for one of those that are there. */
static int submit(struct offload_pool *pool, struct offload_call *call, const void *place)
{
    while (!hand_to_idle(pool, call)) {
        int r = start_thread(pool, call);

        if (r == 0)
            break;
        give_turn(pool);
        if (pool->outstanding == atomic_load(&pool->abandoned))
            return r;
        pool->ceiling = pool->taken;
        r = offload_take_turn(place);
        if (r < 0)
            return r;
    }
    if (pool->outstanding++ == 0)
        (void)propagate_event_add(pool->done_event, NULL);
    return 0;
}

static void end_call(struct offload_pool *pool, struct offload_call *call)
{
    if (--pool->outstanding == 0)
        (void)propagate_event_del(pool->done_event);
    pool->ceiling = OFFLOAD_THREADS_MAX;
    if (call->abandoned)
        atomic_fetch_sub(&pool->abandoned, 1);
    else
        pool->taken--;
    grant_turns(pool);
    call->task->call = NULL;
    task_wake(call->task, 0);
}

/* What was posted, or done, first comes first. */
static void calls_are_done(evutil_socket_t fd, short what, void *arg)
{
    struct offload_pool *pool = arg;
    struct offload_post *posts = NULL;
    struct offload_call *done = NULL;
    eventfd_t count;

    (void)what;
    (void)eventfd_read(fd, &count);
    lock_take(&pool->lock);
    while (pool->posts) {
        struct offload_post *post = pool->posts;

        pool->posts = post->next;
        post->next = posts;
        posts = post;
    }
    while (pool->done) {
        struct offload_call *call = pool->done;

        pool->done = call->next;
        call->next = done;
        done = call;
    }
    lock_give(&pool->lock);
    while (posts) {
        struct offload_post *post = posts;

        posts = post->next;
        post->fn(post);
    }
    while (done) {
        struct offload_call *call = done;

        done = call->next;
        end_call(pool, call);
    }
}

static const struct operation_class offload_class = {.kind = "thread"};

int offload_run(int (*fn)(void *arg), void *arg, const void *place, int *ret_result)
{
    struct weft_task *task = weft_task_current();
    struct offload_pool *pool = task->loop->offloads;
    struct offload_call call = {.fn = fn, .arg = arg, .context = current_state.context, .task = task};
    struct operation operation = {0};

    int r = submit(pool, &call, place);
    if (r < 0)
        return r;
    task->call = &call;
    if (current_state.context)
        operation_begin(&operation, &offload_class, place, OPERATION_BORROWS);
    (void)task_wait_held();
    operation_end(&operation);
    if (ret_result)
        *ret_result = call.result;
    return task->interruption;
}

int weft_offload(int (*fn)(void *arg), void *arg, int *ret_result)
{
    if (!weft_task_current())
        return task_result(-EDEADLK);
    if (!fn)
        return task_result(-EINVAL);
    const void *place = OPERATION_PLACE();
    int r = offload_take_turn(place);
    return task_result(r < 0 ? r : offload_run(fn, arg, place, ret_result));
}

bool offload_is_under_way(const struct weft_task *task)
{
    struct offload_pool *pool = task->loop->offloads;

    if (!task->call || task->call->abandoned)
        return false;
    lock_take(&pool->lock);
    bool returned = task->call->returned;
    lock_give(&pool->lock);
    return !returned;
}

void offload_abandon(const struct weft_task *task)
{
    /* It may return at this very moment. */
    assert(task->call && !task->call->abandoned);
    task->call->abandoned = true;
    atomic_fetch_add(&task->loop->offloads->abandoned, 1);
    give_turn(task->loop->offloads);
}

/* ---- The pool ---- */

int offload_pool_new(struct event_base *base, struct offload_pool **ret_pool)
{
    struct offload_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return -ENOMEM;
    pool->limit = OFFLOAD_THREADS_DEFAULT;
    pool->ceiling = OFFLOAD_THREADS_MAX;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->gone, NULL);
    pool->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->done_fd >= 0)
        pool->done_event = event_new(base, pool->done_fd, EV_READ | EV_PERSIST, calls_are_done, pool);
    if (!pool->done_event) {
        (void)offload_pool_free(pool);
        return -ENOMEM;
    }
    *ret_pool = pool;
    return 0;
}

void offload_pool_set_limit(struct offload_pool *pool, unsigned threads)
{
    assert(threads >= 1 && threads <= OFFLOAD_THREADS_MAX);
    pool->limit = threads;
    grant_turns(pool);
}

bool offload_is_in_use(const struct offload_pool *pool)
{
    return pool->outstanding > 0;
}

unsigned offload_count_threads(struct offload_pool *pool)
{
    lock_take(&pool->lock);
    unsigned threads = pool->threads;
    lock_give(&pool->lock);
    return threads;
}

unsigned offload_count_abandoned(struct offload_pool *pool)
{
    return atomic_load(&pool->abandoned);
}

struct offload_pool *offload_pool_free(struct offload_pool *pool)
{
    if (!pool)
        return NULL;
    lock_take(&pool->lock);
    pool->closing = true;
    for (struct pool_thread *thread = pool->idle; thread; thread = thread->next)
        (void)pthread_cond_signal(&thread->work);
    while (pool->threads > 0)
        (void)pthread_cond_wait(&pool->gone, &pool->lock);
    lock_give(&pool->lock);
    if (pool->has_ended)
        (void)pthread_join(pool->ended, NULL);
    if (pool->done_event)
        event_free(pool->done_event);
    if (pool->done_fd >= 0)
        (void)close(pool->done_fd);
    (void)pthread_cond_destroy(&pool->gone);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
    return NULL;
}
