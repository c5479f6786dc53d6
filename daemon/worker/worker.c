#include "daemon/worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <event2/event.h>

#include "context/propagate/at_root.h"
#include "context/propagate/libc/child.h"
#include "context/task/callback.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "context/time.h"
#include "daemon/crash/location.h"
#include "daemon/job_types.h"
#include "daemon/process.h"
#include "daemon/worker/base_lock.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/forked.h"
#include "daemon/worker/heap.h"
#include "daemon/worker/orphan.h"

/* How often the process gives a sign of life. */
enum { HEARTBEAT_MS = 200 };

/* How long interrupted tasks have to clean up before the process ends all the same. */
enum { CLEANUP_MS = 2000 };

/* And how much longer a worker lives that nobody watches any more. */
enum { ORPHAN_GRACE_MS = 2000 };

/* Of libevent's events; new ones get the middle one of PRIORITIES, which is the usual. Urgent is what must not wait
 * until all the callbacks of plugins that are due have run: outcomes, signs of life, signals. */
enum { PRIORITY_URGENT, PRIORITY_USUAL, PRIORITIES };

/* Memory is looked after once in so many signs of life, which is once a second. */
enum { BEATS_PER_LOOK = 5 };

enum worker_state { WORKER_RUNNING, WORKER_DRAINING, WORKER_INTERRUPTED };

struct worker {
    const struct worker_options *options;
    enum worker_state state;
    bool plugins_failed;
    struct event_base *base;
    struct weft_loop *loop;
    struct registry registry;
    struct job_types types;
    struct dispatch dispatch;
    struct event *stop_event;
    struct event *quit_event;
    struct event *reopen_event;
    struct event *heartbeat_event;
    struct event *limit_event;
    unsigned beats;
    struct heap heap;
};

/* ---- Ending ---- */

static void stop_if_finished(struct worker *worker)
{
    if (worker->state != WORKER_RUNNING && dispatch_is_over(&worker->dispatch))
        (void)event_base_loopexit(worker->base, NULL);
}

static void set_limit(struct worker *worker, int64_t limit_ms)
{
    (void)event_add(worker->limit_event,
                    &(struct timeval){.tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000});
}

static void begin_drain(struct worker *worker)
{
    if (worker->state != WORKER_RUNNING)
        return;
    worker->state = WORKER_DRAINING;
    set_limit(worker, worker->options->config->shutdown_timeout_ms);
    dispatch_stop(&worker->dispatch);
    atomic_store(&worker->options->slot->leaving, 1);
    stop_if_finished(worker);
}

static void begin_interrupt(struct worker *worker)
{
    begin_drain(worker);
    if (worker->state != WORKER_DRAINING)
        return;
    worker->state = WORKER_INTERRUPTED;
    weft_log_with(WEFT_WARN, "interrupting what still runs", WEFT_INT("tasks", weft_tasks_alive()));
    dispatch_interrupt(&worker->dispatch);
    set_limit(worker, CLEANUP_MS);
}

static void limit_is_over(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;

    (void)fd;
    (void)what;
    if (worker->state == WORKER_DRAINING) {
        begin_interrupt(worker);
        return;
    }
    long tasks = dispatch_count_tasks(&worker->dispatch);
    size_t outcomes = queue_client_count_unsettled(worker->dispatch.client);

    /* What is not settled is still pending in Redis: the supervisor gives it back when this process has ended. */
    if (tasks > 0)
        weft_log_with(WEFT_ERROR, "giving up on what does not end; its jobs will be run again",
                      WEFT_INT("tasks", tasks));
    if (outcomes > 0)
        weft_log_with(WEFT_ERROR, "giving up on outcomes that Redis has not taken; their jobs will be run again",
                      WEFT_INT("jobs", outcomes));
    (void)event_base_loopexit(worker->base, NULL);
}

/* SIGTERM lets what runs finish; SIGQUIT interrupts it. Two signals, since one sent twice may arrive once. */
static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    (void)what;
    if (number == SIGQUIT)
        begin_interrupt(arg);
    else
        begin_drain(arg);
}

static void on_reopen_signal(evutil_socket_t number, short what, void *arg)
{
    const struct worker *worker = arg;

    (void)number;
    (void)what;
    log_output_reopen(worker->options->output);
}

static void settled(void *user)
{
    stop_if_finished(user);
}

/* ---- */

/* A fetch loop that does not move is as bad as one that stands still: no sign of life then. */
static void heartbeat(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;

    (void)fd;
    (void)what;
    /* First: whoever sees the loop turn again is to see who has been waiting for it. */
    dispatch_tend(&worker->dispatch);
    if (queue_client_is_moving(worker->dispatch.client))
        atomic_store(&worker->options->slot->heartbeat_us, time_steady_us());
    atomic_store(&worker->options->slot->contexts, weft_contexts_alive());
    atomic_store(&worker->options->slot->tasks, weft_tasks_alive());
    atomic_store(&worker->options->slot->offload_threads, offload_count_threads(worker->loop->offloads));
    stop_if_finished(worker);
    child_tend();
    if (++worker->beats % BEATS_PER_LOOK == 0) {
        job_slot_table_trim(worker->options->job_slots);
        heap_look(&worker->heap,
                  attempt_take_peak_bytes(&worker->dispatch.runner) + coroutine_pool_bytes(worker->loop->coroutines));
    }
    log_output_flush(worker->options->output);
}

/* ---- The process ---- */

static int start_plugins(struct worker *worker)
{
    char *message;
    int r = job_types_load(worker->options->config, &worker->registry, &worker->types, &message);

    if (r < 0) {
        weft_error("%s", message ? message : strerror(-r));
        free(message);
        return r;
    }
    const char *plugin;
    r = registry_start(&worker->registry, &plugin);
    if (r < 0)
        weft_error("the plugin \"%s\" could not start: %s", plugin, strerror(-r));
    return r;
}

/* Before there are plugins, which start threads and events. */
static int prepare_context(const struct config *config)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->context.follow_threads_of.count; i++)
        r = weft_follow_threads_of(config->context.follow_threads_of.items[i].text);
    for (size_t i = 0; r == 0 && i < config->context.follow_events_of.count; i++)
        r = weft_follow_events_of(config->context.follow_events_of.items[i].text);
    if (config->context.warn_at_root)
        at_root_watch();
    return r;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    /* The first flag: without it timers are late by up to a millisecond. The interval: however many callbacks of
     * plugins are due at once, what is urgent comes between them. */
    if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0 &&
        event_config_set_max_dispatch_interval(config, &(struct timeval){.tv_usec = LOOP_SLICE_US}, -1,
                                               PRIORITY_USUAL) == 0 &&
        base_lock_install() == 0) {
        base_lock_expect();
        base = event_base_new_with_config(config);
    }
    if (config)
        event_config_free(config);
    if (base && event_base_priority_init(base, PRIORITIES) < 0) {
        event_base_free(base);
        base = NULL;
    }
    return base;
}

static int start_events(struct worker *worker)
{
    worker->stop_event = evsignal_new(worker->base, SIGTERM, on_stop_signal, worker);
    worker->quit_event = evsignal_new(worker->base, SIGQUIT, on_stop_signal, worker);
    worker->reopen_event = evsignal_new(worker->base, SIGUSR1, on_reopen_signal, worker);
    worker->heartbeat_event = event_new(worker->base, -1, EV_PERSIST, heartbeat, worker);
    worker->limit_event = evtimer_new(worker->base, limit_is_over, worker);
    if (!worker->stop_event || !worker->quit_event || !worker->reopen_event || !worker->heartbeat_event ||
        !worker->limit_event)
        return -ENOMEM;
    (void)event_priority_set(worker->stop_event, PRIORITY_URGENT);
    (void)event_priority_set(worker->quit_event, PRIORITY_URGENT);
    (void)event_priority_set(worker->heartbeat_event, PRIORITY_URGENT);
    (void)event_priority_set(worker->limit_event, PRIORITY_URGENT);
    (void)event_add(worker->stop_event, NULL);
    (void)event_add(worker->quit_event, NULL);
    (void)event_add(worker->reopen_event, NULL);
    (void)event_add(worker->heartbeat_event, &(struct timeval){.tv_usec = HEARTBEAT_MS * 1000});
    /* Those that the fork had held back until now. */
    process_mask_signals(SIG_SETMASK, (const int[]){0});
    return 0;
}

static int start(struct worker *worker)
{
    const struct worker_options *options = worker->options;

    worker->base = new_base();
    int r =
        worker->base ? log_output_move(options->output, options->slot, options->log_buffers, worker->base) : -ENOMEM;
    if (r == 0)
        r = weft_loop_new(worker->base, &worker->loop);
    if (r == 0)
        r = weft_loop_set_offload_threads(worker->loop, options->config->offload.threads);
    if (r == 0)
        r = prepare_context(options->config);
    if (r == 0)
        r = orphan_prepare(options->config->shutdown_timeout_ms + CLEANUP_MS + ORPHAN_GRACE_MS);
    if (r < 0)
        weft_error("the worker cannot start: %s", strerror(-r));
    if (r == 0)
        r = crash_install(&options->slot->crash);
    /* Where it cannot be done, places have the names that the dynamic linker knows. */
    if (r == 0)
        (void)!location_name_places(&options->slot->crash.crash.modules);
    if (r == 0) {
        forked_prepare(worker->base);
        r = start_plugins(worker);
        forked_check();
        worker->plugins_failed = r < 0;
    }
    crash_note_modules(&options->slot->crash);
    if (r == 0)
        r = start_events(worker);
    if (r < 0)
        return r;
    worker->dispatch = (struct dispatch){
        .slot = options->slot,
        .job_slots = options->job_slots,
        .tally = options->tally,
        .types = &worker->types,
        .settled = settled,
        .user = worker,
    };
    r = dispatch_start(&worker->dispatch, worker->base, worker->loop, options->config, options->consumer);
    if (r < 0)
        return r;
    heap_look(&worker->heap, 0);
    atomic_store(&options->slot->heartbeat_us, time_steady_us());
    atomic_store(&options->slot->ready, 1);
    return 0;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

/* A thread that is still in a call may go on at any moment: what it could then use is left as it is, and what exit()
 * would run, such as destructors of the plugins, is not run under it. */
__attribute__((noreturn)) static void end_under_threads(const struct worker *worker)
{
    log_output_flush(worker->options->output);
    _exit(EX_OK);
}

static void finish(struct worker *worker)
{
    struct scoreboard_slot *slot = worker->options->slot;

    crash_note_clean_end();
    /* A rotation that comes now concerns this process no more, and is not to end it. */
    process_mask_signals(SIG_BLOCK, (const int[]){SIGUSR1, 0});
    /* Before the plugins are stopped, which may be what their threads post to. */
    post_box_close(worker->loop);
    registry_stop(&worker->registry);
    dispatch_done(&worker->dispatch);
    child_forget_all();
    /* Tasks that did not end are left where they are: their stacks cannot be unwound from outside. */
    if (weft_tasks_alive() == 0)
        worker->loop = weft_loop_free(worker->loop);
    atomic_store(&slot->live_contexts, weft_contexts_alive());
    atomic_store(&slot->live_tasks, weft_tasks_alive());
    atomic_store(&slot->live_jobs, attempt_count_alive(&worker->dispatch.runner));
    if (worker->loop && offload_is_in_use(worker->loop->offloads))
        end_under_threads(worker);
    job_types_done(&worker->types);
    registry_done(&worker->registry);
    location_name_places_no_more();
    free_event(worker->stop_event);
    free_event(worker->quit_event);
    free_event(worker->reopen_event);
    free_event(worker->heartbeat_event);
    free_event(worker->limit_event);
    (void)log_output_free(worker->options->output);
    if (worker->base && weft_tasks_alive() == 0)
        event_base_free(worker->base);
}

int worker_run(const struct worker_options *options)
{
    struct worker worker = {.options = options};
    int r = start(&worker);

    if (r == 0)
        (void)event_base_dispatch(worker.base);
    forked_check();
    finish(&worker);
    return r == 0 ? EX_OK : worker.plugins_failed ? EX_CONFIG : EX_SOFTWARE;
}
