#include "daemon/supervisor/reload.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/log.h>

#include "context/time.h"

/* How long loading the plugins and reaching Redis may take, each. */
#define STEP_LIMIT_US (15 * INT64_C(1000000))

static void set_state(struct reload *reload, enum reload_state state)
{
    static const char *const names[] = {
        [RELOAD_NOT] = "none goes on",
        [RELOAD_CHECKING] = "a process loads the plugins",
        [RELOAD_CONNECTING] = "its Redis is to answer",
        [RELOAD_ANSWERED] = "its Redis has answered",
        [RELOAD_REPLACING] = "workers are replaced",
    };

    weft_debug("reload: %s", names[state]);
    reload->state = state;
    reload->since_us = time_steady_us();
}

static void finish(struct reload *reload)
{
    set_state(reload, RELOAD_NOT);
    reload->config = config_free(reload->config);
    reload->old = generation_unref(reload->old);
    reload->next = generation_unref(reload->next);
    if (reload->again) {
        reload->again = false;
        reload_begin(reload);
    }
}

static void refuse(struct reload *reload, const char *why)
{
    (void)snprintf(reload->why_refused, sizeof(reload->why_refused), "%s", why);
    weft_log_with(WEFT_ERROR, "the new configuration is refused and the old one stays",
                  WEFT_TEXT("error", reload->why_refused));
    finish(reload);
}

/* ---- Reading and checking ---- */

void reload_begin(struct reload *reload)
{
    const struct config *old = reload->pool->generation->config;
    char *message;

    if (reload->state != RELOAD_NOT) {
        reload->again = true;
        return;
    }
    reload->begun++;
    weft_log_with(WEFT_INFO, "weftd reloading", WEFT_TEXT("file", old->path));
    int r = config_load(old->path, &reload->config, &message);
    if (r < 0) {
        refuse(reload, message ? message : strerror(-r));
        free(message);
        return;
    }
    /* What a running weftd cannot change about itself. */
    const struct config *next = reload->config;
    bool embedded = next->redis.kind == CONFIG_REDIS_EMBEDDED;
    if (embedded != (old->redis.kind == CONFIG_REDIS_EMBEDDED)) {
        refuse(reload, "\"redis.url\" changes to or from an embedded Redis, which needs a restart of weftd");
        return;
    }
    if (embedded && strcmp(old->redis.dir, next->redis.dir) != 0) {
        refuse(reload, "\"redis.dir\" changes, which needs a restart of weftd");
        return;
    }
    r = plugin_check_start(&reload->check, reload->config);
    if (r < 0) {
        refuse(reload, strerror(-r));
        return;
    }
    set_state(reload, RELOAD_CHECKING);
}

/* ---- Connecting ---- */

static void connect_next(struct reload *reload)
{
    assert(reload->state == RELOAD_CHECKING && reload->config && !reload->next);
    int r = generation_new(reload->config, NULL, reload->owner, &reload->next);

    if (r == 0) {
        reload->config = NULL;
        r = generation_connect(reload->next, reload->pool->base, reload->maintenance_events);
    }
    if (r < 0)
        refuse(reload, strerror(-r));
    else
        set_state(reload, RELOAD_CONNECTING);
}

bool reload_child_ended(struct reload *reload, pid_t pid, int status)
{
    char *message;

    if (reload->state != RELOAD_CHECKING || pid != reload->check.pid)
        return false;
    if (plugin_check_end(&reload->check, status, &message) == 0) {
        connect_next(reload);
        return true;
    }
    bool too_long = time_steady_us() - reload->since_us > STEP_LIMIT_US;
    refuse(reload, too_long ? "loading the plugins takes too long" : message ? message : strerror(ENOMEM));
    free(message);
    return true;
}

/* ---- Replacing ---- */

/* From inside an event of the new generation's maintenance, so that it cannot be refused here. */
void reload_redis_ready(struct reload *reload, const struct generation *generation)
{
    if (reload->state != RELOAD_CONNECTING || generation != reload->next)
        return;
    set_state(reload, RELOAD_ANSWERED);
}

/* Files that it may have to make and connections that come in are for a configuration that holds in all else. */
static void replace(struct reload *reload)
{
    struct generation *next = reload->next, *old = reload->pool->generation;
    char *message;
    int r = log_output_new(next->config, reload->slot, &next->output, &message);

    if (r == 0)
        r = web_new(reload->web, next->config->http.listen, old->web, &next->web, &message);
    if (r < 0) {
        refuse(reload, message ? message : strerror(-r));
        free(message);
        return;
    }
    reload->old = generation_ref(old);
    log_output_install(next->output);
    worker_pool_change(reload->pool, next);
    set_state(reload, RELOAD_REPLACING);
}

static void go_back(struct reload *reload, const char *why)
{
    log_output_install(reload->old->output);
    /* Its workers may live on for a while; who connects meanwhile is not to be cut off with it. */
    reload->next->web = web_free(reload->next->web);
    worker_pool_change_back(reload->pool, reload->old);
    refuse(reload, why);
}

void reload_worker_ended(struct reload *reload, const struct worker_process *worker)
{
    /* One that was ready may have been brought down by a job, which says nothing of the configuration. */
    if (reload->state == RELOAD_REPLACING && worker->generation == reload->next && !atomic_load(&worker->slot->ready) &&
        !worker_pool_has_ready(reload->pool))
        go_back(reload, "its first worker ended before it was ready");
}

void reload_tend(struct reload *reload)
{
    char why[RELOAD_WHY_SIZE];

    if (reload->state == RELOAD_NOT)
        return;
    if (reload->state == RELOAD_ANSWERED)
        replace(reload);
    if (reload->state == RELOAD_REPLACING && worker_pool_is_complete(reload->pool)) {
        reload->why_refused[0] = '\0';
        weft_log_with(WEFT_INFO, "weftd reloaded", WEFT_INT("workers", reload->next->config->workers));
        finish(reload);
        return;
    }
    if (time_steady_us() - reload->since_us <= STEP_LIMIT_US)
        return;
    if (reload->state == RELOAD_CHECKING)
        plugin_check_kill(&reload->check);
    else if (reload->state == RELOAD_CONNECTING) {
        (void)snprintf(why, sizeof(why), "its Redis does not answer%s%s", *reload->next->redis_problem ? ": " : "",
                       reload->next->redis_problem);
        refuse(reload, why);
    } else if (reload->state == RELOAD_REPLACING && !worker_pool_has_ready(reload->pool))
        go_back(reload, "its first worker does not become ready");
}

void reload_cancel(struct reload *reload)
{
    reload->again = false;
    if (reload->state == RELOAD_CHECKING) {
        plugin_check_kill(&reload->check);
        (void)close(reload->check.fd);
    }
    if (reload->state == RELOAD_NOT)
        return;
    (void)snprintf(reload->why_refused, sizeof(reload->why_refused), "weftd stops");
    finish(reload);
}
