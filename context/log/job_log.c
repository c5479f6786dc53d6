#include "context/log/job_log.h"

#include "context/log/log.h"

int job_log_enter(struct current *saved, const struct job_values *values)
{
    struct weft_context *context;
    int r = job_frame_new(values, NULL, NULL, &context);

    if (r < 0)
        return r;
    current_enter(saved, context);
    return 0;
}

void job_log_debug(const struct job *job, const char *format, ...)
{
    char attempt[JOB_ATTEMPT_SIZE];
    struct current saved;
    va_list args;

    if (!log_takes(WEFT_DEBUG))
        return;
    const struct job_values values = job_values_of(job, attempt);
    if (job_log_enter(&saved, &values) < 0)
        return;
    va_start(args, format);
    weft_logv(WEFT_DEBUG, format, args);
    va_end(args);
    current_leave(&saved);
}
