#include "daemon/supervisor/service.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if WEFT_HAVE_SYSTEMD
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#endif

#define SECOND_US INT64_C(1000000)

/* How long the service manager is asked to go on waiting, while weftd starts or ends and says so each second. */
#define PATIENCE_US (10 * SECOND_US)

/* ---- The service manager ---- */

#if WEFT_HAVE_SYSTEMD
static int64_t wanted_watchdog_us(void)
{
    uint64_t interval_us = 0;

    return sd_watchdog_enabled(0, &interval_us) > 0 ? (int64_t)interval_us : 0;
}

static bool is_listening(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

static void notify(const char *message)
{
    (void)sd_notify(0, message);
}

/* Where weftd is given more than that, it says so by not answering on the rest. */
size_t service_take_sockets(int *sockets, size_t max)
{
    int count = sd_listen_fds(1);
    size_t taken = 0;

    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + count && taken < max; fd++)
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0)
            sockets[taken++] = fd;
    return taken;
}
#else
static int64_t wanted_watchdog_us(void)
{
    return 0;
}

static bool is_listening(void)
{
    return false;
}

static void notify(const char *message)
{
    (void)message;
}

size_t service_take_sockets(int *sockets, size_t max)
{
    (void)sockets;
    (void)max;
    return 0;
}
#endif

void service_leave(void)
{
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_PID");
    (void)unsetenv("WATCHDOG_USEC");
}

/* ---- The status ---- */

void service_write_status(const struct service_figures *figures, uint64_t rate, char status[static SERVICE_STATUS_SIZE])
{
    const char *problem = figures->redis_problem;
    char redis[SERVICE_STATUS_SIZE / 2] = "Redis answers";

    if (problem)
        (void)snprintf(redis, sizeof(redis), "Redis is unavailable: %s", problem);
    else if (figures->redis_full)
        (void)snprintf(redis, sizeof(redis), "Redis has no memory left and takes no new jobs");
    switch (figures->phase) {
    case SERVICE_STARTING:
        if (problem)
            (void)snprintf(status, SERVICE_STATUS_SIZE, "Waiting to start. %s", redis);
        else
            (void)snprintf(status, SERVICE_STATUS_SIZE, "Starting, %zu workers", figures->workers);
        break;
    case SERVICE_RUNNING:
    case SERVICE_RELOADING:
        (void)snprintf(status, SERVICE_STATUS_SIZE,
                       "%s%zu workers, %" PRIu64 " jobs in flight, %" PRIu64 " done a second. %s%s%s",
                       figures->phase == SERVICE_RELOADING ? "Reloading. " : "", figures->workers, figures->in_flight,
                       rate, redis, figures->why_refused ? ". The last reload was refused: " : "",
                       figures->why_refused ? figures->why_refused : "");
        break;
    case SERVICE_STOPPING:
        (void)snprintf(status, SERVICE_STATUS_SIZE, "Stopping, %" PRIu64 " jobs in flight to be finished or given back",
                       figures->in_flight);
        break;
    }
    /* One line of printable characters. */
    for (char *at = status; *at; at++)
        if ((unsigned char)*at < ' ' || *at == '\x7f')
            *at = '?';
}

/* ---- Telling ---- */

static void tell_phase(struct service *service, enum service_phase phase, int64_t now_us)
{
    char message[96];

    service->phase = phase;
    switch (phase) {
    case SERVICE_STARTING:
        return;
    case SERVICE_RUNNING:
        notify("READY=1");
        return;
    case SERVICE_RELOADING:
        (void)snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_us);
        notify(message);
        return;
    case SERVICE_STOPPING:
        notify("STOPPING=1");
        return;
    }
}

static void tell_status(struct service *service, const struct service_figures *figures, int64_t now_us)
{
    char status[SERVICE_STATUS_SIZE], message[SERVICE_STATUS_SIZE + 64];
    bool waits = figures->phase == SERVICE_STARTING || figures->phase == SERVICE_STOPPING;

    int64_t passed_us = now_us - service->notified_us;
    uint64_t rate = 0;

    if (passed_us > 0 && service->notified_us > 0 && figures->jobs_done >= service->jobs_done)
        rate = (figures->jobs_done - service->jobs_done) * (uint64_t)SECOND_US / (uint64_t)passed_us;
    service_write_status(figures, rate, status);
    service->notified_us = now_us;
    service->jobs_done = figures->jobs_done;
    if (strcmp(status, service->status) != 0) {
        (void)snprintf(message, sizeof(message), "STATUS=%s", status);
        notify(message);
        (void)snprintf(service->status, sizeof(service->status), "%s", status);
    }
    if (waits) {
        (void)snprintf(message, sizeof(message), "EXTEND_TIMEOUT_USEC=%" PRId64, PATIENCE_US);
        notify(message);
    }
}

void service_tell(struct service *service, const struct service_figures *figures, int64_t now_us)
{
    if (!is_listening())
        return;
    bool changed = figures->phase != service->phase;
    if (!service->begun) {
        service->begun = true;
        service->watchdog_us = wanted_watchdog_us();
    }
    if (changed)
        tell_phase(service, figures->phase, now_us);
    if (changed || now_us - service->notified_us >= SECOND_US)
        tell_status(service, figures, now_us);
    if (figures->sound && service->watchdog_us > 0 && now_us - service->fed_us >= service->watchdog_us / 4) {
        notify("WATCHDOG=1");
        service->fed_us = now_us;
    }
}
