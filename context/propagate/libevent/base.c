/* event_base_loop and its kin: which thread runs which base. */
#include <event2/event_compat.h>
#include <event2/event_struct.h>
#include <event2/thread.h>

#include "context/async/running_job.h"
#include "context/propagate/base_home.h"
#include "context/propagate/linked.h"
#include "context/propagate/propagate.h"
#include "context/propagate/wrapped_event.h"

PROPAGATE_LINKED(loops);

/* A loop runs at the root, also where a callback runs another one: what fires there is not the waiting code's. */
PROPAGATE_EXPORT int event_base_loop(struct event_base *base, int flags)
{
    struct base_home *home = base ? base_home_get(base) : NULL;
    bool is_somebodys = running_job_get() != 0;
    struct running_job_kept kept;
    struct current saved;

    /* libevent refuses to run a loop inside of itself. */
    if (!home || !base_home_run(home))
        return REAL(event_base_loop)(base, flags);
    propagate_suspend(&saved);
    if (is_somebodys)
        kept = running_job_keep();
    int r = REAL(event_base_loop)(base, flags);
    if (is_somebodys)
        running_job_go_on(&kept);
    propagate_resume(&saved);
    base_home_rest(home);
    if (LIST_EMPTY(&base_homes_here))
        wrapped_event_drain();
    return r;
}

PROPAGATE_EXPORT int event_base_dispatch(struct event_base *base)
{
    return event_base_loop(base, 0);
}

PROPAGATE_EXPORT int event_loop(int flags)
{
    return event_base_loop(propagate_global_base(), flags);
}

PROPAGATE_EXPORT int event_dispatch(void)
{
    return event_base_loop(propagate_global_base(), 0);
}

struct event_base *propagate_global_base(void)
{
    struct event probe;

    if (REAL(event_assign)(&probe, NULL, -1, 0, NULL, NULL) < 0)
        return NULL;
    REAL(event_debug_unassign)(&probe);
    return probe.ev_base;
}

/* What libevent_pthreads calls, or who brings locks of his own. */
PROPAGATE_EXPORT int evthread_set_lock_callbacks(const struct evthread_lock_callbacks *callbacks)
{
    int r = REAL(evthread_set_lock_callbacks)(callbacks);

    if (r == 0 && callbacks)
        __atomic_store_n(&base_locking_is_on, true, __ATOMIC_RELAXED);
    return r;
}
