/*
 * Handlers that use the CPU, memory or time, as much as the payload says.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <weft/weft.h>

static unsigned long number(const struct weft_job *job)
{
    return strtoul(weft_job_payload(job, NULL), NULL, 10);
}

static long cpu_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* So many milliseconds of CPU, without waiting once. */
static int burn(struct weft_job *job)
{
    long until_ms = cpu_ms() + (long)number(job);

    while (cpu_ms() < until_ms)
        continue;
    return 0;
}

static int nap(struct weft_job *job)
{
    return weft_sleep_ms(number(job)) < 0 ? -errno : 0;
}

/* Obeys its time-out as soon as it hears of it. */
static int wait_long(struct weft_job *job)
{
    (void)job;
    return weft_sleep_ms(3600 * 1000) < 0 ? -errno : 0;
}

WEFT_PLUGIN("load", WEFT_HANDLER("burn", burn), WEFT_HANDLER("nap", nap), WEFT_HANDLER("wait_long", wait_long));
