#include "handlers/variables.h"

#include <stdbool.h>
#include <stdio.h>

#include "context/macros.h"
#include "context/propagate/libc/environment.h"
#include "handlers/runner.h"

enum { TRACEPARENT_SIZE = 56 };

/* In a context that is no job's, the names are given all the same, so that none is inherited. */
static int provide(struct environment *environment)
{
    const struct weft_job *job = weft_job_current();
    const struct job *record = job ? job->record : NULL;
    bool has_trace = record && record->trace_id;
    char traceparent[TRACEPARENT_SIZE];
    const struct {
        const char *name, *value;
    } variables[] = {
        {"WEFT_JOB_ID", record ? record->id : NULL},
        {"WEFT_JOB_TYPE", record ? record->type : NULL},
        {"WEFT_ATTEMPT", job ? job->attempt_text : NULL},
        {"TRACEPARENT", has_trace ? traceparent : NULL},
    };
    int r = 0;

    /* The parent of what the child does is this attempt. */
    if (has_trace)
        (void)snprintf(traceparent, sizeof(traceparent), "00-%s-%s-%s", record->trace_id, job->span_id,
                       record->trace_flags);
    for (size_t i = 0; i < ELEMENTS(variables) && r == 0; i++)
        r = environment_add(environment, variables[i].name, variables[i].value);
    return r;
}

void variables_install(void)
{
    environment_provide_with(provide);
}
