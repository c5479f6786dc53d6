/*
 * Nesting: a run inside a run overrides one value and adds another. What it starts keeps the inner values; outside, the
 * outer ones are back.
 */
#include "handlers/examples/examples.h"

static void show(const char *where)
{
    const char *tenant = weft_get("tenant");
    const char *step = weft_get("step");

    weft_info("%s: tenant=%s step=%s", where, tenant ? tenant : "-", step ? step : "-");
}

static int later(void *arg)
{
    (void)arg;
    int r = weft_sleep_ms(50);
    if (r == 0)
        show("subtask, after the run has ended");
    return r;
}

static int inner(void *arg)
{
    (void)arg;
    int r = weft_set("step", "import");
    if (r < 0)
        return r;
    show("inside");
    return weft_spawn("later", later, NULL) ? 0 : -errno;
}

int example_nesting(struct weft_job *job)
{
    (void)job;
    show("outside, before");
    int r = weft_run_with("tenant", "globex", inner, NULL);
    if (r < 0)
        return r;
    show("outside, after");
    return weft_sleep_ms(100);
}
