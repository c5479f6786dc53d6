/*
 * What the supervisor knows. For its own files.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "daemon/supervisor/health_report.h"
#include "daemon/supervisor/metrics.h"
#include "daemon/supervisor/oom.h"
#include "daemon/supervisor/redis_server.h"
#include "daemon/supervisor/reload.h"
#include "daemon/supervisor/reload_outcome.h"
#include "daemon/supervisor/service.h"
#include "daemon/supervisor/watchdog.h"
#include "daemon/supervisor/web.h"
#include "daemon/supervisor/worker_pool.h"

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_RUNNING, SUPERVISOR_STOPPING };

enum { SIGNALS = 6 };

struct supervisor {
    worker_run_fn *run_worker;
    enum supervisor_state state;
    bool announced; /* "weftd ready" has been said */
    int exit_status;
    int64_t started_us;
    int64_t workers_gone_us; /* when the last worker ended */
    struct event_base *base;
    struct generation *first; /* until the worker pool has it; a reference */
    struct worker_pool pool;
    struct reload reload;
    struct reload_outcome reload_outcome;
    struct health_report health_report;
    struct watchdog watchdog;
    struct oom oom;
    struct service service;
    struct redis_server *redis;
    struct metrics metrics;
    struct web_setup web;
    struct scoreboard_slot *slot; /* its own */
    struct event *signal_events[SIGNALS];
    struct event *tick_event;
    char why_not[SCOREBOARD_PROBLEM_SIZE + 64]; /* what /readyz has said last */
};
