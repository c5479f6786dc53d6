/* event_base_loop: which thread runs which base. */
#include <pthread.h>

#include "context/async/running_job.h"
#include "context/fork_lock.h"
#include "context/propagate/linked.h"
#include "context/propagate/propagate.h"
#include "context/propagate/wrapped_event.h"

PROPAGATE_LINKED(loops);

_Thread_local struct running_loop *loops_here;
static LIST_HEAD(, running_loop) loops_everywhere;
static pthread_mutex_t loops_lock = PTHREAD_MUTEX_INITIALIZER;

FORK_LOCK(loops_lock, FORK_LOCK_INNER);

enum base_owner propagate_owner_of_other(const struct event_base *base)
{
    for (const struct running_loop *loop = loops_here; loop; loop = loop->outer)
        if (loop->base == base)
            return BASE_RUN_HERE;

    const struct running_loop *elsewhere;
    (void)pthread_mutex_lock(&loops_lock);
    LIST_FOREACH (elsewhere, &loops_everywhere, everywhere)
        if (elsewhere->base == base)
            break;
    (void)pthread_mutex_unlock(&loops_lock);
    return elsewhere ? BASE_RUN_ELSEWHERE : BASE_IDLE;
}

bool propagate_runs_loop(void)
{
    return loops_here != NULL;
}

/* A loop runs at the root, also where a callback runs another one: what fires there is not the waiting code's. */
PROPAGATE_EXPORT int event_base_loop(struct event_base *base, int flags)
{
    struct running_loop loop = {.base = base, .outer = loops_here};
    bool is_somebodys = running_job_get() != 0;
    struct running_job_kept kept;
    struct current saved;

    loops_here = &loop;
    (void)pthread_mutex_lock(&loops_lock);
    LIST_INSERT_HEAD(&loops_everywhere, &loop, everywhere);
    (void)pthread_mutex_unlock(&loops_lock);
    propagate_suspend(&saved);
    if (is_somebodys)
        kept = running_job_keep();
    int r = REAL(event_base_loop)(base, flags);
    if (is_somebodys)
        running_job_go_on(&kept);
    propagate_resume(&saved);
    loops_here = loop.outer;
    (void)pthread_mutex_lock(&loops_lock);
    LIST_REMOVE(&loop, everywhere);
    (void)pthread_mutex_unlock(&loops_lock);
    if (!loops_here)
        wrapped_event_drain();
    return r;
}
