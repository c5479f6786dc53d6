/* How jobs fail in words of their own, and how code fails that nobody gets a result of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/hooks.h>
#include <weft/weft.h>

#include "context/current.h"
#include "context/lock.h"
#include "context/task/task.h"
#include "handlers/runner.h"

enum { STACK_SIZE = 2048 };

/* ---- Jobs ---- */

WEFT_PRINTF(4, 0)
static void set_verdict(struct weft_job *job, enum verdict verdict, uint64_t retry_ms, const char *format, va_list args)
{
    /* Where the chain itself gives the verdict, the log says all with the handler's name. On the thread of a chain that
     * blocks nothing else is told of, either. */
    bool by_chain = attempt_runs_here(job) && (job->type->blocking || current_state.operation == &job->task->operation);
    char words[STACK_SIZE];
    char *stack = !by_chain && weft_async_stack(words, sizeof(words)) > 0 ? weft_strdup(job, words) : NULL;

    lock_take(&job->lock);
    if (!job->closed) {
        job->verdict = verdict;
        job->retry_ms = retry_ms;
        job->error = memory_vprintf(&job->memory, format, args);
        job->stack = stack;
    }
    lock_give(&job->lock);
}

int weft_fail(struct weft_job *job, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_verdict(job, VERDICT_FAIL, 0, format, args);
    va_end(args);
    return -EBADMSG;
}

int weft_retry(struct weft_job *job, uint64_t milliseconds, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_verdict(job, VERDICT_RETRY, milliseconds < INT64_MAX / 2 ? milliseconds : INT64_MAX / 2, format, args);
    va_end(args);
    return -EAGAIN;
}

int weft_explain(struct weft_job *job, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_verdict(job, VERDICT_NONE, 0, format, args);
    va_end(args);
    return error < 0 ? error : -EPROTO;
}

/* ---- Callbacks ---- */

void weft_report_error(int error, const char *format, ...)
{
    int before = errno;
    struct weft_job *job = weft_job_current();
    char words[768], text[1024], stack[STACK_SIZE];
    struct weft_field fields[2] = {WEFT_TEXT("error", text)};
    size_t count = 1;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    (void)snprintf(text, sizeof(text), "%s%s%s", words, error ? ": " : "", error ? strerror(abs(error)) : "");
    if (weft_async_stack(stack, sizeof(stack)) > 0)
        fields[count++] = WEFT_TEXT("stack", stack);
    weft_log_fields(WEFT_ERROR, "callback failed", fields, count);
    /* The counters belong to the thread of the loop. */
    if (job && loop_current() == job->runner->loop) {
        job->subtasks_failed++;
        if (job->reported)
            job->runner->events->late_subtasks(job, 0, 1, job->runner->user);
    }
    errno = before;
}
