/*
 * Handlers that need something of the system beyond memory and time, for the tests of the sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft/weft.h>

/* Sleeps for as many milliseconds as the payload says. */
static int nap(struct weft_job *job)
{
    weft_info("napping");
    if (weft_sleep_ms(strtoull(weft_job_payload(job, NULL), NULL, 10)) < 0)
        return -errno;
    weft_info("awake");
    return 0;
}

/* Runs the payload in a shell and logs each line that it writes. */
static int run_shell(void *arg)
{
    char line[512];
    FILE *output = popen(arg, "r");
    int status;

    if (!output)
        return -errno;
    while (fscanf(output, "%511[^\n]%*c", line) == 1)
        weft_info("%s", line);
    status = pclose(output);
    return status == 0 ? 0 : -ECHILD;
}

static int shell(struct weft_job *job)
{
    int status, r = weft_offload(run_shell, (void *)(uintptr_t)weft_job_payload(job, NULL), &status);

    return r < 0 ? r : status;
}

/* Makes an empty file of the payload's name. */
static int touch(struct weft_job *job)
{
    int fd = open(weft_job_payload(job, NULL), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return weft_fail(job, "%m");
    (void)close(fd);
    return 0;
}

/* Memory that is written first and run then, as compilers at run time need it. */
static int compile(struct weft_job *job)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (code == MAP_FAILED)
        return weft_fail(job, "%m");
    (void)munmap(code, 4096);
    return 0;
}

WEFT_PLUGIN("needy", WEFT_HANDLER("nap", nap), WEFT_HANDLER("shell", shell), WEFT_HANDLER("touch", touch),
            WEFT_HANDLER("compile", compile));
