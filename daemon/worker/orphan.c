#include "daemon/worker/orphan.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* One that neither libraries nor plugins are likely to want. The very last is valgrind's own. */
#define ORPHAN_SIGNAL (SIGRTMAX - 1)

/* For the signal handler. */
static struct {
    timer_t timer;
    struct itimerspec time;
} end;

/* SIGTERM itself is only seen by a loop that turns; this runs inside whatever handler keeps it from that. */
static void on_orphaned(int number)
{
    int error = errno;

    (void)number;
    (void)timer_settime(end.timer, 0, &end.time, NULL);
    (void)kill(getpid(), SIGTERM);
    errno = error;
}

int orphan_prepare(int64_t limit_ms)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct sigaction action = {.sa_handler = on_orphaned, .sa_flags = SA_RESTART | SA_ONSTACK};

    end.time.it_value = (struct timespec){.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000};
    if (timer_create(CLOCK_MONOTONIC, &event, &end.timer) < 0 || sigaction(ORPHAN_SIGNAL, &action, NULL) < 0 ||
        prctl(PR_SET_PDEATHSIG, ORPHAN_SIGNAL) < 0)
        return -errno;
    return 0;
}
