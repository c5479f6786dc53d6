/*
 * Reloading: a new configuration is read, its plugins are checked and its Redis is reached before anybody relies on it;
 * then its log outputs and its web server are opened, and the worker pool is replaced one by one. Whatever is wrong
 * before the first new worker is ready, the old configuration stays, and of the new one nothing does but the message.
 */
#pragma once

#include "daemon/supervisor/plugin_check.h"
#include "daemon/supervisor/worker_pool.h"

enum reload_state {
    RELOAD_NOT,
    RELOAD_CHECKING,   /* the process that loads the plugins */
    RELOAD_CONNECTING, /* the first answer of its Redis */
    RELOAD_ANSWERED,   /* it has come: log outputs and web server are opened next */
    RELOAD_REPLACING,  /* the workers */
};

enum { RELOAD_WHY_SIZE = 1024 };

struct reload {
    struct worker_pool *pool;
    struct scoreboard_slot *slot; /* the supervisor's */
    const struct maintenance_events *maintenance_events;
    void *owner; /* of the new generations */
    const struct web_setup *web;
    enum reload_state state;
    bool again;     /* asked for once more meanwhile */
    unsigned begun; /* how many there were */
    int64_t since_us;
    struct config *config; /* checked, not yet in a generation */
    struct plugin_check check;
    struct generation *old; /* what to go back to; a reference */
    struct generation *next;
    char why_refused[RELOAD_WHY_SIZE]; /* why the last one that has ended was refused; "": it was not */
};

/* Starts a reload, or notes that there is to be another one after the present one. Not while weftd starts or stops. */
void reload_begin(struct reload *reload);

/* The first answer of a generation's Redis has come. */
void reload_redis_ready(struct reload *reload, const struct generation *generation);

/* To be told about each child that has ended; gives whether it was the one that checks plugins. */
bool reload_child_ended(struct reload *reload, pid_t pid, int status);

/* A worker has ended unexpectedly. */
void reload_worker_ended(struct reload *reload, const struct worker_process *worker);

/* A few times a second. */
void reload_tend(struct reload *reload);

/* weftd stops: nothing comes of it any more. */
void reload_cancel(struct reload *reload);
