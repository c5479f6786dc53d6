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

/* Allocates so many MiB, and frees them but for a piece at the end, which keeps the others in the heap. */
static int litter(struct weft_job *job)
{
    size_t size = number(job) << 20;
    struct piece {
        struct piece *next;
        char rest[1000];
    } *pieces = NULL;
    static void *last;

    for (size_t allocated = 0; allocated < size; allocated += sizeof(*pieces)) {
        struct piece *piece = calloc(1, sizeof(*piece));

        if (!piece)
            break;
        piece->next = pieces;
        pieces = piece;
    }
    free(last);
    last = malloc(sizeof(*pieces));
    while (pieces) {
        struct piece *next = pieces->next;

        free(pieces);
        pieces = next;
    }
    return 0;
}

WEFT_PLUGIN("load", WEFT_HANDLER("burn", burn), WEFT_HANDLER("nap", nap), WEFT_HANDLER("wait_long", wait_long),
            WEFT_HANDLER("litter", litter));
