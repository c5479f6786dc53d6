/*
 * What the service manager is told: by sd_notify(3), where one asks for it and weftd was built with libsystemd; else
 * nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum service_phase { SERVICE_STARTING, SERVICE_RUNNING, SERVICE_RELOADING, SERVICE_STOPPING };

/* What there is to tell. */
struct service_figures {
    enum service_phase phase;
    size_t workers; /* that run */
    uint64_t in_flight;
    uint64_t jobs_done;        /* since the start; may fall back a little while a worker is replaced */
    const char *redis_problem; /* NULL: none */
    bool redis_full;           /* of its memory */
    const char *why_refused;   /* of the last reload; NULL: it was not refused */
    bool sound;                /* every worker's loop turns, or is being dealt with */
};

enum { SERVICE_STATUS_SIZE = 2048 };

/* All zero at first. */
struct service {
    bool begun;
    enum service_phase phase;
    int64_t notified_us; /* the last status */
    int64_t fed_us;      /* the last sign of life */
    int64_t watchdog_us; /* the service manager wants one each; 0: it does not */
    uint64_t jobs_done;  /* at the last status */
    char status[SERVICE_STATUS_SIZE];
};

/* Tells what has changed: phases at once, figures once a second, signs of life as often as is asked for, but only while
 * all is sound. To be called a few times a second. */
void service_tell(struct service *service, const struct service_figures *figures, int64_t now_us);

/* Gives the listening sockets that the service manager has passed, at most `max` of them; they are the caller's. Once.
 */
size_t service_take_sockets(int *sockets, size_t max);

/* In a process that is not the service's main one: neither it nor what it starts has anything to tell. */
void service_leave(void);

/* Writes what `figures` say in one line, with `rate` jobs done a second. `problem` is Redis's or the system's text and
 * may hold anything: what could begin another field of a notification is replaced. */
void service_write_status(const struct service_figures *figures, uint64_t rate,
                          char status[static SERVICE_STATUS_SIZE]);
