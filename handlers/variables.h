/*
 * What a child process learns of the job that started it, beside the metadata: WEFT_JOB_ID, WEFT_JOB_TYPE, WEFT_ATTEMPT
 * and TRACEPARENT.
 */
#pragma once

/* From now on children of this process that are started in a job's context get these variables. Before there are other
 * threads. */
void variables_install(void);
