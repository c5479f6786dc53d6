#include "context/fork_guard.h"

#include <pthread.h>
#include <sysexits.h>
#include <unistd.h>

#include <weft/log.h>

#include "context/async/running_job.h"

bool fork_guard_is_copy;
const struct operation *fork_guard_operation;

static void (*in_child_of_user)(void);

static void in_child(void)
{
    fork_guard_is_copy = true;
    fork_guard_operation = current_state.operation;
    /* The place is the worker's, which tells there whose code it runs itself. */
    running_job_install(NULL);
    running_job_count(NULL);
    if (in_child_of_user)
        in_child_of_user();
}

void fork_guard_install(void (*in_child_or_null)(void))
{
    in_child_of_user = in_child_or_null;
    (void)pthread_atfork(NULL, NULL, in_child);
}

void fork_guard_end(void)
{
    weft_error(
        "a process that was forked here has come back instead of calling exec or _exit(), and is ended: what weft "
        "runs belongs to the worker that it is a copy of");
    _exit(EX_SOFTWARE);
}
