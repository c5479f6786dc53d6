/*
 * Handlers that do one thing each, for the tests to look at.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/weft.h>

static const char *text_of(struct weft_job *job)
{
    return weft_job_payload(job, NULL);
}

/* Sleeps for as many milliseconds as the payload says. */
static int nap(struct weft_job *job)
{
    weft_info("napping");
    if (weft_sleep_ms(strtoull(text_of(job), NULL, 10)) < 0)
        return -errno;
    weft_info("awake");
    return 0;
}

/* Logs the payload. */
static int speak(struct weft_job *job)
{
    weft_info("%s", text_of(job));
    return 0;
}

/* Fails for good with the payload as the reason. */
static int fail(struct weft_job *job)
{
    return weft_fail(job, "%s", text_of(job));
}

static int fail_once(struct weft_job *job)
{
    return weft_job_attempt(job) == 1 ? -EIO : 0;
}

static int retry_once(struct weft_job *job)
{
    return weft_job_attempt(job) == 1 ? weft_retry(job, 30, "the other side is busy") : 0;
}

static int error(struct weft_job *job)
{
    (void)job;
    return -EIO;
}

static int report(struct weft_job *job)
{
    weft_progress(job, "%d of %d", 2, 3);
    return weft_result(job, "{\"answer\":42}");
}

WEFT_PLUGIN("probe", WEFT_HANDLER("nap", nap), WEFT_HANDLER("speak", speak), WEFT_HANDLER("fail", fail),
            WEFT_HANDLER("fail_once", fail_once), WEFT_HANDLER("retry_once", retry_once), WEFT_HANDLER("error", error),
            WEFT_HANDLER("report", report));
