/*
 * Handlers that are to be stopped, and some that do not want to be.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/weft.h>

enum { LONG_MS = 3600 * 1000 };

static void clean_up(void *arg)
{
    (void)arg;
    weft_info("cleaned up");
}

/* Sleeps for long, and cleans up. */
static int sleeper(struct weft_job *job)
{
    int r = weft_defer(job, clean_up, NULL);

    if (r < 0)
        return r;
    weft_info("asleep");
    r = weft_sleep_ms(LONG_MS);
    weft_info("woken by %d", r);
    return r;
}

static int child(void *arg)
{
    (void)arg;
    return weft_sleep_ms(LONG_MS);
}

/* Two subtasks and the chain sleep for long. */
static int family(struct weft_job *job)
{
    for (int i = 0; i < 2; i++) {
        struct weft_task *task = weft_spawn("child", child, NULL);

        if (!task)
            return -errno;
    }
    return sleeper(job);
}

/* Takes its time to end, and succeeds whatever happens. */
static int stubborn(struct weft_job *job)
{
    (void)job;
    weft_info("asleep");
    (void)weft_sleep_ms(LONG_MS);
    return 0;
}

WEFT_PLUGIN("stop", WEFT_HANDLER("sleeper", sleeper), WEFT_HANDLER("family", family),
            WEFT_HANDLER("stubborn", stubborn));
