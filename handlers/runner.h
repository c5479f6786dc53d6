/*
 * The runner: gives each job a context and a task, runs its chain, and tells how it ended.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <weft/weft.h>

#include "context/job.h"
#include "context/task/loop.h"
#include "handlers/active_jobs.h"
#include "handlers/attempt.h"

/* How an attempt ended. Borrowed during the call. */
struct attempt_outcome {
    enum job_outcome outcome;
    bool failed;       /* the attempt failed, whatever comes of it */
    bool lost;         /* another worker has the job, and decides about it; JOB_RETURNED */
    const char *error; /* why; NULL unless it failed or was cancelled */
    const char *stack; /* what led to it, where that was not the chain; NULL: nothing else */
    int64_t retry_ms;  /* JOB_RETRY: the delay */
    int64_t duration_us;
};

/* Told by the runner; all but `enqueue` and `forgotten` in the job's context. */
struct runner_events {
    /* The job is of a type that blocks, and waits until it gets a thread; `started` follows. May be NULL. */
    void (*queued)(struct weft_job *job, void *user);

    void (*started)(struct weft_job *job, void *user);
    void (*ended)(struct weft_job *job, const struct attempt_outcome *outcome, void *user);

    /* The job has a call on a thread that goes on long after the job was interrupted: it is given up. `frames`: where
     * the thread is, the innermost first, each an address that a call returns to; none where that cannot be found out.
     * Where it is a call of the chain's, the job ends without it, and `ended` follows; where it is a subtask's, only
     * the subtask is not waited for, and `job` is NULL if that is nobody's. The job lives on until the call returns.
     */
    void (*stuck)(struct weft_job *job, const uintptr_t *frames, size_t frame_count, void *user);

    void (*subtask_started)(struct weft_job *job, struct weft_task *task, void *user);
    void (*subtask_ended)(struct weft_job *job, struct weft_task *task, int result, void *user);

    /* Subtasks were started, or failed, after `ended`. */
    void (*late_subtasks)(struct weft_job *job, unsigned subtasks, unsigned failed, void *user);

    /* A call that was given up, as told by `stuck`, has returned after all, and the chain, or the subtask, has ended.
     */
    void (*unstuck)(struct weft_job *job, void *user);

    /* weft_progress() was called. On whichever thread that was. */
    void (*progressed)(struct weft_job *job, void *user);

    /* The job's last frame is gone, and the job is freed next. On whichever thread that was; may be NULL. */
    void (*forgotten)(struct weft_job *job, void *user);

    /* Enqueues a message of `count` fields; `done` is called once, later, with 0 and the entry's ID, or a negative
     * errno and an explanation. A negative errno: `done` will not be called. */
    int (*enqueue)(const char *queue, const struct job_field *fields, size_t count,
                   void (*done)(int result, const char *text, void *arg), void *arg, void *user);
};

struct runner {
    struct weft_loop *loop;
    const struct runner_events *events;
    void *user;
    struct loop_observer observer;
    LIST_HEAD(, weft_job) running;     /* whose chains run; the latest first */
    LIST_HEAD(, straggler) stragglers; /* subtasks that were interrupted inside a call */
    struct active_jobs active_jobs;    /* all, whoever has ended too */
    atomic_long jobs_alive;
    atomic_size_t payloads_alive; /* bytes */
    atomic_size_t peak_bytes;     /* the most that were alive since they were asked for */
    uint64_t random[2];
};

/* Prepares `runner`, which must stay where it is, on the loop of this thread; `events` must outlive it. */
void runner_init(struct runner *runner, struct weft_loop *loop, const struct runner_events *events, void *user);

/* Starts a job; its record is taken over where it succeeds. `type` must outlive the job. Errors: -EAGAIN no stack,
 * -ENOMEM. */
int runner_start(struct runner *runner, struct job *record, const struct job_type *type) WEFT_MUST_CHECK;

/* Interrupts the chain and the subtasks of a job, whose waits end with -ECANCELED. The job is cancelled unless its
 * chain succeeds all the same. Gives whether its chain is running here. */
bool runner_cancel(struct runner *runner, const char *queue, const char *id);

/* The same for a job that another worker has been given meanwhile, known by its entry: whatever its chain gives, its
 * outcome is that it is lost. */
bool runner_lose(struct runner *runner, const char *queue, const char *entry);

/* Interrupts every chain that runs, and every subtask: their waits end with -ECANCELED. Chains that fail because of it
 * are returned to their queue, uncharged. Calls on threads that go on for another second are given up. */
void runner_shut_down(struct runner *runner);

/* A number from 0 to below 1. Not for secrets. */
double runner_random(struct runner *runner);
