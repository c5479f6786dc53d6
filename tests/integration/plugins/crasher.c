/*
 * Handlers that bring their worker down, each in its own way.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

static volatile int zero;
static volatile int *volatile nowhere;

static int segfault(struct weft_job *job)
{
    (void)job;
    weft_info("about to crash");
    *nowhere = 1;
    return 0;
}

static int abandon(struct weft_job *job)
{
    (void)job;
    abort();
}

static int divide(struct weft_job *job)
{
    (void)job;
    return 100 / zero;
}

/* Each call has its own array, so that no compiler turns the recursion into a loop. */
static int dig(int depth)
{
    volatile char ground[4096];

    ground[depth % 4096] = 1;
    if (depth < 0)
        return 0;
    return ground[0] + dig(depth + 1) + ground[1];
}

static int overflow(struct weft_job *job)
{
    (void)job;
    return dig(0);
}

static int spin(struct weft_job *job)
{
    volatile unsigned long turns = 0;

    (void)job;
    while (zero == 0)
        turns++;
    return 0;
}

static int leave(struct weft_job *job)
{
    (void)job;
    exit(3);
}

static int vanish(struct weft_job *job)
{
    (void)job;
    _exit(0);
}

static int eat(struct weft_job *job)
{
    (void)job;
    for (;;) {
        char *bite = malloc(1 << 20);

        if (!bite)
            return -ENOMEM;
        memset(bite, 1, 1 << 20);
        usleep(1000);
    }
}

/* Says a lot right before it crashes. */
static int talk_and_die(struct weft_job *job)
{
    (void)job;
    for (int i = 0; i < 1000; i++)
        weft_info("line %d of what it had to say", i);
    *nowhere = 1;
    return 0;
}

static int crash_late(void *arg)
{
    (void)arg;
    weft_sleep_ms(300);
    *nowhere = 1;
    return 0;
}

/* The job ends well; what it started does not. */
static int leave_a_bomb(struct weft_job *job)
{
    (void)job;
    return weft_spawn("bomb", crash_late, NULL) ? 0 : -errno;
}

/* Goes on whatever it is told. */
static int ignore(struct weft_job *job)
{
    (void)job;
    while (zero == 0)
        (void)weft_sleep_ms(10);
    return 0;
}

static int nap(struct weft_job *job)
{
    (void)job;
    weft_info("napping");
    return weft_sleep_ms(strtoull(weft_job_payload(job, NULL), NULL, 10)) < 0 ? -errno : 0;
}

WEFT_PLUGIN("crasher", WEFT_HANDLER("segfault", segfault), WEFT_HANDLER("abandon", abandon),
            WEFT_HANDLER("divide", divide), WEFT_HANDLER("overflow", overflow), WEFT_HANDLER("spin", spin),
            WEFT_HANDLER("leave", leave), WEFT_HANDLER("vanish", vanish), WEFT_HANDLER("eat", eat),
            WEFT_HANDLER("talk_and_die", talk_and_die), WEFT_HANDLER("leave_a_bomb", leave_a_bomb),
            WEFT_HANDLER("ignore", ignore), WEFT_HANDLER("nap", nap));
