/*
 * A plugin with two handlers, to begin one of your own with: `compose` says whom it greets, and `greet` greets, and has
 * a subtask look back at it when the job is long done.
 */
#include <weft/weft.h>

/* Fire and forget: runs on by itself, and what it logs has the job's ID all the same. */
static int remember(void *arg)
{
    (void)arg;
    if (weft_sleep_ms(100) < 0)
        return -errno;
    weft_info("remembered %s", weft_get("whom"));
    return 0;
}

/* What it sets is there for the handlers that follow, and for all that they start. */
static int compose(struct weft_job *job)
{
    const char *name = weft_get("name"); /* a field of the message */

    if (!name)
        return weft_fail(job, "the message has no \"name\": who is to be greeted?");
    return weft_set("whom", name);
}

static int greet(struct weft_job *job)
{
    weft_info("Good day, %s", weft_get("whom"));
    if (weft_sleep_ms(20) < 0) /* other jobs run meanwhile */
        return -errno;         /* cancelled, or timed out */
    weft_spawn("remember", remember, NULL);
    return weft_result(job, "{\"greeted\":true}");
}

WEFT_PLUGIN("greeting", WEFT_HANDLER("compose", compose), WEFT_HANDLER("greet", greet));
