/*
 * Children that crash in earnest: a job is run, or some other code, by a forked process that has job slots and a crash
 * record in shared memory, as a worker has.
 */
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/crash/crash_read.h"
#include "daemon/scoreboard/job_slot_read.h"
#include "tests/support/checker.h"
#include "tests/support/runner_support.h"

#include "daemon/crash/backtrace.h"
#include "daemon/crash/crash.h"
#include "daemon/scoreboard/job_slot.h"

/* Names are waited for as long as a busy machine may take to find them, which is longer than a supervisor waits. */
enum { CRASH_SUPPORT_JOB_SLOTS = 8, CRASH_SUPPORT_TEXT = 4096, CRASH_SUPPORT_LIMIT_MS = 30000 };

/* What a child has left. */
struct remains {
    struct crash_record *record;
    struct job_slot_table job_slots;
    int status;
};

static struct remains remains;

static inline void *crash_support_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

static inline void crash_support_clear(void)
{
    if (remains.record) {
        (void)munmap(remains.record, sizeof(*remains.record));
        (void)munmap(remains.job_slots.states, job_slot_table_size(CRASH_SUPPORT_JOB_SLOTS));
    }
    remains = (struct remains){0};
}

/* ---- In the child ---- */

static inline void crash_support_started(struct weft_job *job, void *user)
{
    (void)user;
    job->job_slot = job_slot_take(&remains.job_slots, job);
}

static inline void crash_support_ended(struct weft_job *job, const struct attempt_outcome *outcome, void *user)
{
    (void)outcome;
    (void)user;
    job_slot_end(&remains.job_slots, job->job_slot);
}

static inline void crash_support_forgotten(struct weft_job *job, void *user)
{
    (void)user;
    job_slot_drop(&remains.job_slots, job->job_slot);
}

static const struct runner_events crash_support_events = {
    .started = crash_support_started,
    .ended = crash_support_ended,
    .subtask_started = on_subtask_started,
    .subtask_ended = on_subtask_ended,
    .late_subtasks = on_late,
    .progressed = on_progress,
    .forgotten = crash_support_forgotten,
};

/* A worker in small: one job, whose only handler is `handler`. */
static inline void crash_support_work(const struct weft_handler *handler)
{
    struct job_type type = {.name = "test", .chain = &handler, .chain_size = 1, .attempts = 3, .timeout_ms = 60000};
    struct event_base *base = event_base_new();
    struct weft_loop *loop;
    struct runner runner;

    if (!base || weft_loop_new(base, &loop) < 0)
        _exit(90);
    runner_init(&runner, loop, &crash_support_events, NULL);
    if (runner_start(&runner, new_record(2), &type) < 0)
        _exit(91);
    (void)event_base_dispatch(base);
}

#if CHECKER_SANITIZER
/* What a process that calls exit() in the middle of everything has not freed is no leak. */
static bool crash_support_in_child;

WEFT_API int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return crash_support_in_child;
}
#endif

/* cmocka catches signals, which a worker does not: what was there before it, a sanitizer's handlers. */
static struct sigaction crash_support_signals[NSIG];

__attribute__((constructor)) static void crash_support_save_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, NULL, &crash_support_signals[number]);
}

/* No core files, and nobody is to read a sanitizer's report of what was meant. */
static inline void crash_support_begin_child(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    (void)dup2(null, STDERR_FILENO);
#if CHECKER_SANITIZER
    crash_support_in_child = true;
#endif
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &crash_support_signals[number], NULL);
}

/* ---- In the test ---- */

/* Runs `child` in a process of its own, which ends as if nothing were wrong if it returns. */
static inline void in_child(void (*child)(const void *arg), const void *arg)
{
    if (RUNNING_ON_VALGRIND)
        skip();
    crash_support_clear();
    remains.record = crash_support_map(sizeof(*remains.record));
    job_slot_table_init(&remains.job_slots, crash_support_map(job_slot_table_size(CRASH_SUPPORT_JOB_SLOTS)),
                        CRASH_SUPPORT_JOB_SLOTS);
    pid_t process = fork();
    if (process == 0) {
        crash_support_begin_child();
        if (crash_install(remains.record) < 0)
            _exit(92);
        child(arg);
        crash_note_clean_end();
        exit(0);
    }
    assert_int_equal(waitpid(process, &remains.status, 0), process);
}

static inline void crash_support_run_handler(const void *arg)
{
    crash_support_work(arg);
}

#define IN_JOB(name_, handler_)                                                                                        \
    in_child(crash_support_run_handler, &(const struct weft_handler){.name = (name_), .run = (handler_)})

/* Why the child ended, and where; valid until the next call. */
static inline const char *reason_because(const char *why)
{
    static char text[CRASH_SUPPORT_TEXT];

    crash_describe(remains.record, remains.status, why, text, sizeof(text));
    return text;
}

static inline const char *reason(void)
{
    return reason_because(NULL);
}

/* What the child's record says in words; valid until the next call. */
static inline const struct backtrace *backtrace_read(void)
{
    static struct backtrace backtrace;
    struct crash crash;

    backtrace = (struct backtrace){0};
    if (crash_read(remains.record, &crash) == 0)
        backtrace_describe(&crash, CRASH_SUPPORT_LIMIT_MS, &backtrace);
    return &backtrace;
}

static inline const char *backtrace_text(void)
{
    return backtrace_read()->frames;
}

static inline const char *stack_text(void)
{
    return backtrace_read()->stack;
}

/* The ID of the job that is the culprit, or "nobody". */
static inline const char *culprit(void)
{
    static struct job_slot_job job;
    const struct job_slot *job_slot = job_slot_find_running(&remains.job_slots, crash_culprit(remains.record));

    return job_slot && job_slot_read_job(job_slot, &job) == 0 ? job.job.id : "nobody";
}

/* Whether a signal ended the child. Under a sanitizer its own handler, which comes after ours, may have exited. */
static inline bool was_killed_by(int number)
{
    return CHECKER_SANITIZER || (WIFSIGNALED(remains.status) && WTERMSIG(remains.status) == number);
}
