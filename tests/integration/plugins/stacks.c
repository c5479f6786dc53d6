/*
 * Handlers whose failures come about far away from the chain.
 */
#include <stdlib.h>

#include <weft/weft.h>

static volatile int *volatile nowhere;

/* ---- A task that a callback starts that a task schedules that a handler starts ---- */

static int store(void *arg)
{
    (void)arg;
    return -ENOMEM;
}

static void arm(void *arg)
{
    (void)arg;
    weft_spawn("store", store, NULL); /* line of arm */
}

static int audit(void *arg)
{
    (void)arg;
    return weft_call_later(1, arm, NULL); /* line of audit */
}

static int deep(struct weft_job *job)
{
    (void)job;
    return weft_spawn("audit", audit, NULL) ? 0 : -errno; /* line of deep */
}

/* ---- Callbacks that fail ---- */

static void fail(void *arg)
{
    (void)arg;
    errno = ERANGE;
    weft_report_error(-EIO, "could not store order %d", 4711);
    if (errno != ERANGE)
        weft_report_error(0, "errno was lost");
}

static int loses(struct weft_job *job)
{
    (void)job;
    int r = weft_call_later(1, fail, NULL); /* line of loses */
    return r < 0 ? r : weft_sleep_ms(50);
}

static int loses_late(struct weft_job *job)
{
    (void)job;
    return weft_call_later(200, fail, NULL);
}

/* ---- The end of the worker ---- */

static void give_up(void *arg)
{
    (void)arg;
    if (!nowhere)
        abort();
}

static int watch(void *arg)
{
    (void)arg;
    int r = weft_call_later(1, give_up, NULL); /* line of watch */
    return r < 0 ? r : weft_sleep_ms(10000);
}

static int ends(struct weft_job *job)
{
    (void)job;
    return weft_join(weft_spawn("watch", watch, NULL), NULL); /* line of ends */
}

/* ---- Failing the job from elsewhere ---- */

static int judge(void *arg)
{
    return weft_fail(arg, "the card was refused");
}

static int delegates(struct weft_job *job)
{
    int result = 0;
    int r = weft_join(weft_spawn("judge", judge, job), &result); /* line of delegates */

    return r < 0 ? r : result;
}

static int refuses(struct weft_job *job)
{
    return weft_fail(job, "no");
}

WEFT_PLUGIN("stacks", WEFT_HANDLER("deep", deep), WEFT_HANDLER("loses", loses), WEFT_HANDLER("loses_late", loses_late),
            WEFT_HANDLER("ends", ends), WEFT_HANDLER("delegates", delegates), WEFT_HANDLER("refuses", refuses));
