#include "daemon/lifecycle.h"

#include <string.h>

#include <weft/log.h>

#include "context/frame.h"

void lifecycle_started(const struct weft_job *job)
{
    weft_log_fields(WEFT_INFO, "job started", NULL, 0);
    if (job->record->bad_traceparent)
        weft_warn("traceparent is not a valid W3C trace parent and is ignored");
}

static void log_failure(const struct attempt_outcome *outcome)
{
    enum weft_level level = outcome->outcome == JOB_DEAD ? WEFT_ERROR : WEFT_WARN;

    weft_log_with(level, "job failed", WEFT_TEXT("error", outcome->error));
}

void lifecycle_ended(const struct attempt_outcome *outcome)
{
    if (outcome->failed)
        log_failure(outcome);
    switch (outcome->outcome) {
    case JOB_DONE:
        weft_log_with(WEFT_INFO, "job done", WEFT_REAL("duration_ms", (double)outcome->duration_us / 1000));
        break;
    case JOB_RETRY:
        weft_log_with(WEFT_INFO, "retry scheduled", WEFT_INT("in_ms", outcome->retry_ms));
        break;
    case JOB_DEAD:
        weft_log_with(WEFT_ERROR, "job dead", WEFT_TEXT("error", outcome->error));
        break;
    case JOB_CANCELLED:
        weft_log_with(WEFT_WARN, "job cancelled", WEFT_TEXT("error", outcome->error));
        break;
    case JOB_DELAYED:
        break;
    case JOB_RETURNED:
        weft_log_fields(WEFT_INFO, "job returned to its queue", NULL, 0);
        break;
    }
}

void lifecycle_subtask_started(void)
{
    weft_log_fields(WEFT_INFO, "subtask started", NULL, 0);
}

void lifecycle_subtask_ended(int result)
{
    if (result == 0)
        weft_log_fields(WEFT_INFO, "subtask done", NULL, 0);
    else if (result < 0)
        weft_log_with(WEFT_WARN, "subtask failed", WEFT_TEXT("error", strerror(-result)));
    else
        weft_log_with(WEFT_WARN, "subtask failed", WEFT_INT("result", result));
}

static int log_rejected(void *arg)
{
    const struct queue_rejection *rejection = arg;

    weft_log_with(WEFT_ERROR, "job dead", WEFT_TEXT("error", rejection->reason));
    return 0;
}

void lifecycle_rejected(const struct queue_rejection *rejection)
{
    struct frame_entry entries[3] = {
        {.name = "weft.job_id", .value = rejection->id, .size = strlen(rejection->id)},
        {.name = "weft.queue", .value = rejection->queue, .size = strlen(rejection->queue)},
    };
    size_t count = 2;
    struct weft_context *context;

    if (rejection->type)
        entries[count++] =
            (struct frame_entry){.name = "weft.type", .value = rejection->type, .size = strlen(rejection->type)};
    if (frame_new(entries, count, NULL, NULL, &context) < 0)
        return;
    (void)weft_run_in(context, log_rejected, (void *)(uintptr_t)rejection);
    (void)weft_context_unref(context);
}
