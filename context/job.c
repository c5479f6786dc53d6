#include "context/job.h"

#include <stdlib.h>

struct job *job_free(struct job *job)
{
    /* One block holds the record and everything it points to. */
    free(job);
    return NULL;
}
