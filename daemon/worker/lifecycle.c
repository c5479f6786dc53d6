#include "daemon/worker/lifecycle.h"

#include <string.h>

#include <weft/hooks.h>
#include <weft/log.h>

#include "context/log/job_log.h"
#include "daemon/crash/backtrace.h"

void lifecycle_started(const struct weft_job *job)
{
    weft_log_fields(WEFT_INFO, "job started", NULL, 0);
    if (job->record->bad_traceparent)
        weft_warn("traceparent is not a valid W3C trace parent and is ignored");
}

/* Room for what led to a failure. */
enum { STACK_SIZE = 2048 };

/* With an error, and what led to it where that is known. */
static void log_error(enum weft_level level, const char *message, const char *error, const char *stack)
{
    const struct weft_field fields[] = {WEFT_TEXT("error", error), WEFT_TEXT("stack", stack)};

    weft_log_fields(level, message, fields, stack ? 2 : 1);
}

void lifecycle_ended(const struct attempt_outcome *outcome)
{
    if (outcome->failed)
        log_error(outcome->outcome == JOB_DEAD ? WEFT_ERROR : WEFT_WARN, "job failed", outcome->error, outcome->stack);
    switch (outcome->outcome) {
    case JOB_DONE:
        weft_log_with(WEFT_INFO, "job done", WEFT_REAL("duration_ms", (double)outcome->duration_us / 1000));
        break;
    case JOB_RETRY:
        weft_log_with(WEFT_INFO, "retry scheduled", WEFT_INT("in_ms", outcome->retry_ms));
        break;
    case JOB_DEAD:
        log_error(WEFT_ERROR, "job dead", outcome->error, outcome->stack);
        break;
    case JOB_CANCELLED:
        weft_log_with(WEFT_WARN, "job cancelled", WEFT_TEXT("error", outcome->error));
        break;
    case JOB_DELAYED:
    case JOB_DUPLICATE: /* Neither has been run. */
        break;
    case JOB_RETURNED:
        if (outcome->lost)
            weft_log_fields(WEFT_WARN, "job lost: another worker has it", NULL, 0);
        else
            weft_log_fields(WEFT_INFO, "job returned to its queue", NULL, 0);
        break;
    }
}

void lifecycle_stuck(const struct module_map *map, const uintptr_t *frames, size_t frame_count)
{
    char words[BACKTRACE_SIZE];

    backtrace_describe_thread(map, frames, frame_count, words);
    weft_log_fields(WEFT_ERROR, "giving up a call that does not return",
                    (const struct weft_field[]){WEFT_TEXT("backtrace", words[0] ? words : "unknown")}, 1);
}

void lifecycle_unstuck(void)
{
    weft_log_fields(WEFT_WARN, "a call that was given up has returned", NULL, 0);
}

void lifecycle_subtask_started(void)
{
    weft_log_fields(WEFT_INFO, "subtask started", NULL, 0);
}

void lifecycle_subtask_ended(int result)
{
    char stack[STACK_SIZE];
    const struct weft_field fields[] = {
        result < 0 ? WEFT_TEXT("error", strerror(-result)) : WEFT_INT("result", result),
        WEFT_TEXT("stack", stack),
    };

    if (result == 0) {
        weft_log_fields(WEFT_INFO, "subtask done", NULL, 0);
        return;
    }
    (void)weft_async_stack(stack, sizeof(stack));
    weft_log_fields(WEFT_WARN, "subtask failed", fields, 2);
}

void lifecycle_rejected(const struct queue_rejection *rejection)
{
    const struct job_values values = {.id = rejection->id, .queue = rejection->queue, .type = rejection->type};
    struct current saved;

    if (job_log_enter(&saved, &values) < 0)
        return;
    weft_log_with(WEFT_ERROR, "job dead", WEFT_TEXT("error", rejection->reason));
    current_leave(&saved);
}

/* Of a job that is not run. */
static void log_end(const struct job *job, enum weft_level level, const char *message, struct weft_field field)
{
    char attempt[JOB_ATTEMPT_SIZE];
    const struct job_values values = job_values_of(job, attempt);
    struct current saved;

    if (job_log_enter(&saved, &values) < 0)
        return;
    weft_log_fields(level, message, &field, 1);
    current_leave(&saved);
}

void lifecycle_discarded(const struct job *job)
{
    log_end(job, WEFT_WARN, "job cancelled", WEFT_TEXT("error", "cancelled"));
}

void lifecycle_duplicate(const struct job *job, const char *first)
{
    log_end(job, WEFT_INFO, "job duplicate", WEFT_TEXT("duplicate_of", first));
}
