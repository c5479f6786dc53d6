#include "handlers/variables.h"

#include <stdio.h>

#include "context/macros.h"
#include "context/propagate/libc/environment.h"
#include "handlers/runner.h"

enum { TRACEPARENT_SIZE = 56 };

/* NULL where the job has no trace. The parent of what the child does is this attempt. */
static const char *write_traceparent(const struct weft_job *job, char buffer[static TRACEPARENT_SIZE])
{
    const struct job *record = job->record;

    if (!record->trace_id)
        return NULL;
    (void)snprintf(buffer, TRACEPARENT_SIZE, "00-%s-%s-%s", record->trace_id, job->span_id, record->trace_flags);
    return buffer;
}

/* In a context that is no job's, the names are given all the same, so that none is inherited. */
static int provide(struct environment *environment)
{
    const struct weft_job *job = weft_job_current();
    char traceparent[TRACEPARENT_SIZE];
    const struct {
        const char *name, *value;
    } variables[] = {
        {"WEFT_JOB_ID", job ? job->record->id : NULL},
        {"WEFT_JOB_TYPE", job ? job->record->type : NULL},
        {"WEFT_ATTEMPT", job ? job->attempt_text : NULL},
        {"TRACEPARENT", job ? write_traceparent(job, traceparent) : NULL},
    };
    int r = 0;

    for (size_t i = 0; i < ELEMENTS(variables) && r == 0; i++)
        r = environment_add(environment, variables[i].name, variables[i].value);
    return r;
}

void variables_install(void)
{
    environment_provide_with(provide);
}
