/*
 * Handlers for walks over faults. Each notes in the file `history` of weftd's folder that it starts and that it ends,
 * so that what ran is known whatever died; lines of one write do not mix.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/weft.h>

static void note(const struct weft_job *job, const char *what)
{
    char line[256];
    int size = snprintf(line, sizeof(line), "%s %s %u %d\n", what, weft_job_id(job), weft_job_attempt(job), getpid());
    int fd = open("history", O_WRONLY | O_CREAT | O_APPEND, 0600);

    if (fd < 0 || write(fd, line, (size_t)size) != size)
        abort();
    close(fd);
}

static int end(const struct weft_job *job)
{
    note(job, "end");
    return 0;
}

static int plain(struct weft_job *job)
{
    note(job, "start");
    return end(job);
}

static int result(struct weft_job *job)
{
    note(job, "start");
    weft_result(job, "{\"answer\":42}");
    return end(job);
}

static int retry_once(struct weft_job *job)
{
    note(job, "start");
    if (weft_job_attempt(job) == 1)
        return weft_retry(job, 30, "the other side is busy");
    return end(job);
}

static int fail(struct weft_job *job)
{
    note(job, "start");
    note(job, "end");
    return weft_fail(job, "no good");
}

/* Kills its worker unless it, or another process of the same weftd, has done so before. */
static int crash_once(struct weft_job *job)
{
    int fd = open("crashed", O_WRONLY | O_CREAT | O_EXCL, 0600);

    note(job, "start");
    if (fd >= 0)
        abort();
    return end(job);
}

/* Waits for as long as there is no file `go`. */
static int hold(struct weft_job *job)
{
    note(job, "start");
    while (access("go", F_OK) < 0)
        if (weft_sleep_ms(10) < 0)
            return -errno;
    return end(job);
}

/* Sleeps for as many milliseconds as the payload says. */
static int nap(struct weft_job *job)
{
    note(job, "start");
    if (weft_sleep_ms(strtoull(weft_job_payload(job, NULL), NULL, 10)) < 0)
        return -errno;
    return end(job);
}

WEFT_PLUGIN("walk", WEFT_HANDLER("plain", plain), WEFT_HANDLER("result", result),
            WEFT_HANDLER("retry_once", retry_once), WEFT_HANDLER("fail", fail), WEFT_HANDLER("crash_once", crash_once),
            WEFT_HANDLER("hold", hold), WEFT_HANDLER("nap", nap));
