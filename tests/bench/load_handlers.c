/*
 * The handlers that tests/bench/load runs. What they did is known from what they write themselves, whatever Redis or a
 * log says: if weftd's folder has a file `history`, each start and each end of a run is a line there, written by one
 * append; if it has a file `tally`, runs are only counted there, in memory that all workers share.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft/weft.h>

#include "load_busy.h"

static int history = -1;
static struct tally {
    int64_t first_us;
    int64_t done;
} * tally;

/* A line: what, job ID, attempt, PID, microseconds since 1970. */
static void note(const struct weft_job *job, char what)
{
    char line[256];
    int size;

    if (history < 0)
        return;
    size = snprintf(line, sizeof(line), "%c %s %u %d %lld\n", what, weft_job_id(job), weft_job_attempt(job), getpid(),
                    (long long)clock_us(CLOCK_REALTIME));
    if (write(history, line, (size_t)size) != size)
        abort();
}

static void begin(const struct weft_job *job)
{
    int64_t none = 0;

    note(job, 's');
    if (tally && __atomic_load_n(&tally->first_us, __ATOMIC_RELAXED) == 0)
        __atomic_compare_exchange_n(&tally->first_us, &none, clock_us(CLOCK_REALTIME), false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}

static int end(const struct weft_job *job)
{
    note(job, 'e');
    if (tally)
        __atomic_fetch_add(&tally->done, 1, __ATOMIC_RELAXED);
    return 0;
}

/* The payload is a number of milliseconds wherever a handler takes some. */
static int64_t milliseconds_of(const struct weft_job *job)
{
    return strtoll(weft_job_payload(job, NULL), NULL, 10);
}

static int nothing(struct weft_job *job)
{
    begin(job);
    return end(job);
}

static int result(struct weft_job *job)
{
    begin(job);
    weft_result(job, "{\"answer\":42}");
    return end(job);
}

static int retry(struct weft_job *job)
{
    begin(job);
    end(job);
    return weft_job_attempt(job) == 1 ? weft_retry(job, 30, "the other side is busy") : 0;
}

static int busy(struct weft_job *job)
{
    begin(job);
    be_busy(milliseconds_of(job));
    return end(job);
}

static int busy_unnoted(struct weft_job *job)
{
    be_busy(milliseconds_of(job));
    return 0;
}

static int nap(struct weft_job *job)
{
    begin(job);
    if (weft_sleep_ms((uint64_t)milliseconds_of(job)) < 0)
        return -errno;
    return end(job);
}

/* Whatever the size of its payload. */
static int nap_half_a_second(struct weft_job *job)
{
    (void)job;
    return weft_sleep_ms(500) < 0 ? -errno : 0;
}

static int block_for(int64_t milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    return 0;
}

static int block_in_pool(void *arg)
{
    return block_for(*(int64_t *)arg);
}

static int offload(struct weft_job *job)
{
    int64_t milliseconds = milliseconds_of(job);

    begin(job);
    if (weft_offload(block_in_pool, &milliseconds, NULL) < 0)
        return -errno;
    return end(job);
}

/* For job types that run as a whole where blocking is allowed. */
static int block(struct weft_job *job)
{
    begin(job);
    block_for(milliseconds_of(job));
    return end(job);
}

static int hang_in_pool(void *arg)
{
    for (;;)
        pause();
    return arg == NULL;
}

static int offload_for_ever(struct weft_job *job)
{
    begin(job);
    return weft_offload(hang_in_pool, NULL, NULL) < 0 ? -errno : 0;
}

static int block_for_ever(struct weft_job *job)
{
    begin(job);
    return hang_in_pool(NULL);
}

static int start(void)
{
    int file = open("tally", O_RDWR | O_CLOEXEC);

    history = open("history", O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file >= 0) {
        tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (tally == MAP_FAILED)
            return -errno;
    }
    return 0;
}

static void stop(void)
{
}

WEFT_PLUGIN_WITH_HOOKS("load", start, stop, WEFT_HANDLER("nothing", nothing), WEFT_HANDLER("result", result),
                       WEFT_HANDLER("retry", retry), WEFT_HANDLER("busy", busy),
                       WEFT_HANDLER("busy_unnoted", busy_unnoted), WEFT_HANDLER("nap", nap),
                       WEFT_HANDLER("nap_half_a_second", nap_half_a_second), WEFT_HANDLER("offload", offload),
                       WEFT_HANDLER("block", block), WEFT_HANDLER("offload_for_ever", offload_for_ever),
                       WEFT_HANDLER("block_for_ever", block_for_ever));
