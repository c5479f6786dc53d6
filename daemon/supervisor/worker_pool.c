#include "daemon/supervisor/worker_pool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <weft/log.h>

#include "context/task/timer.h"

/* After a fork that failed. */
#define FORK_AGAIN_US INT64_C(1000000)

/* Beyond `shutdown_timeout`, for workers to clean up and settle; then they are killed. */
#define STOP_GRACE_US (4 * INT64_C(1000000))

/* ---- Who is who ---- */

static bool is_present(const struct crew *crew, const struct child *child)
{
    return child->generation == crew->generation;
}

/* Of those that count: it runs, or will, and is to stay. */
static bool is_fresh(const struct crew *crew, const struct child *child)
{
    return is_present(crew, child) && !child->worn &&
           (child->state == CHILD_WAITING || child->state == CHILD_STARTING || child->state == CHILD_READY);
}

static bool is_worn(const struct crew *crew, const struct child *child)
{
    return (!is_present(crew, child) || child->worn) &&
           (child->state == CHILD_STARTING || child->state == CHILD_READY || child->state == CHILD_WAITING);
}

static size_t count_fresh(const struct crew *crew)
{
    size_t count = 0;

    for (const struct child *child = crew->children; child; child = child->next)
        count += is_fresh(crew, child);
    return count;
}

static bool somebody_arrives(const struct crew *crew)
{
    for (const struct child *child = crew->children; child; child = child->next)
        if (is_fresh(crew, child) && child->state != CHILD_READY)
            return true;
    return false;
}

static struct child *find_worn(const struct crew *crew)
{
    for (struct child *child = crew->children; child; child = child->next)
        if (is_worn(crew, child))
            return child;
    return NULL;
}

/* The smallest number that nobody has who is to stay. */
static size_t free_number(const struct crew *crew)
{
    size_t number = 1;

    for (const struct child *child = crew->children; child;) {
        bool taken = is_fresh(crew, child) && child->number == number;

        number += taken;
        child = taken ? crew->children : child->next;
    }
    return number;
}

/* ---- Starting ---- */

/* At the end of the list, so that the order is that of their lives. */
static void add(struct crew *crew, struct child *child)
{
    struct child **link = &crew->children;

    while (*link)
        link = &(*link)->next;
    *link = child;
}

static int add_new(struct crew *crew, struct generation *generation, size_t number, int64_t start_at_us,
                   struct child **ret_child)
{
    int r = child_new(generation, number, start_at_us, ret_child);

    if (r == 0)
        add(crew, *ret_child);
    return r;
}

static void start_due(struct crew *crew)
{
    int64_t now = timer_now_us();

    for (struct child *child = crew->children; child; child = child->next) {
        if (child->state != CHILD_WAITING || child->start_at_us > now)
            continue;
        int r = child_start(child, crew->base);
        if (r == 0)
            continue;
        weft_log_with(WEFT_ERROR, "a worker could not be started and is tried again", WEFT_INT("worker", child->number),
                      WEFT_TEXT("error", strerror(-r)));
        child->start_at_us = now + FORK_AGAIN_US;
    }
}

int crew_start(struct crew *crew, struct generation *generation)
{
    struct child *child;
    int r = 0;

    crew->generation = generation_ref(generation);
    for (size_t i = 1; i <= generation->config->workers && r == 0; i++)
        r = add_new(crew, generation, i, 0, &child);
    start_due(crew);
    return r;
}

/* ---- Replacing ---- */

static void remove_child(struct crew *crew, struct child *child)
{
    struct child **link = &crew->children;

    for (struct child *other = crew->children; other; other = other->next)
        if (other->replaces == child)
            other->replaces = NULL;
    while (*link != child)
        link = &(*link)->next;
    *link = child->next;
    (void)child_free(child);
}

/* One that does not run yet just goes. */
static void retire(struct crew *crew, struct child *child)
{
    if (child->state == CHILD_WAITING)
        remove_child(crew, child);
    else
        child_retire(child);
}

static void note_ready(struct child *child)
{
    if (child->state != CHILD_STARTING || !atomic_load(&child->slot->ready))
        return;
    child->state = CHILD_READY;
    if (child->replaces)
        child_retire(child->replaces);
    child->replaces = NULL;
}

/* One at a time: the next one starts when the last one is ready, so that all but one of the workers are always there.
 */
static void replace_next(struct crew *crew)
{
    struct child *worn = find_worn(crew), *child;
    size_t fresh = count_fresh(crew), wanted = crew->generation->config->workers;

    if (somebody_arrives(crew) || (!worn && fresh >= wanted))
        return;
    if (fresh >= wanted) {
        retire(crew, worn);
        return;
    }
    if (add_new(crew, crew->generation, free_number(crew), 0, &child) < 0) {
        weft_error("a worker could not be started: out of memory");
        return;
    }
    child->replaces = worn;
    start_due(crew);
}

void crew_change(struct crew *crew, struct generation *generation)
{
    struct generation *old = crew->generation;

    crew->generation = generation_ref(generation);
    (void)generation_unref(old);
}

void crew_change_back(struct crew *crew, struct generation *generation)
{
    struct generation *refused = crew->generation;

    for (struct child *child = crew->children, *next; child; child = next) {
        next = child->next;
        if (child->generation == refused && child->state != CHILD_ENDED)
            retire(crew, child);
    }
    crew_change(crew, generation);
}

/* ---- Ending ---- */

static void add_totals(struct crew_totals *totals, const struct scoreboard_slot *slot)
{
    totals->jobs_done += atomic_load(&slot->jobs_done);
    totals->jobs_failed += atomic_load(&slot->jobs_failed);
    totals->live_contexts += atomic_load(&slot->live_contexts);
    totals->live_tasks += atomic_load(&slot->live_tasks);
    totals->live_jobs += atomic_load(&slot->live_jobs);
}

/* Lines that an output does not take now are kept until it does, and the keeper until it has given back the jobs. */
static void bury(struct crew *crew)
{
    for (struct child *child = crew->children, *next; child; child = next) {
        next = child->next;
        if (child->state == CHILD_ENDED && log_output_flush_slot(child->generation->output, child->slot) == 0 &&
            queue_keeper_is_idle(child->generation->keeper))
            remove_child(crew, child);
    }
}

/* One that was to stay is followed by another of its generation. */
static void start_successor(struct crew *crew, struct child *child)
{
    int64_t backoff_us;
    int64_t start_at_us = child_next_start_us(child, &backoff_us);
    struct child *successor;

    if (add_new(crew, child->generation, child->number, start_at_us, &successor) < 0) {
        weft_error("a worker could not be started: out of memory");
        return;
    }
    weft_log_with(WEFT_INFO, "a worker will be started again", WEFT_INT("worker", child->number),
                  WEFT_INT("in_ms", (start_at_us - timer_now_us() + 999) / 1000));
    successor->backoff_us = backoff_us;
    successor->replaces = child->replaces;
}

bool crew_child_ended(struct crew *crew, pid_t pid, int status)
{
    struct child *child = crew->children;

    while (child && !(child_runs(child) && child->pid == pid))
        child = child->next;
    if (!child)
        return false;

    bool expected = child->state == CHILD_RETIRING;
    child->state = CHILD_ENDED;
    child->status = status;
    add_totals(&crew->totals, child->slot);
    (void)log_output_flush_slot(child->generation->output, child->slot);
    crew->events->ended(child, expected, crew->user);
    if (!expected && !crew->stopping && !child->worn)
        start_successor(crew, child);
    child->replaces = NULL;
    bury(crew);
    return true;
}

void crew_stop(struct crew *crew)
{
    crew->stopping = true;
    for (struct child *child = crew->children, *next; child; child = next) {
        next = child->next;
        if (child->state != CHILD_ENDED)
            retire(crew, child);
    }
}

void crew_hurry(struct crew *crew)
{
    crew->hurried_us = timer_now_us();
    for (const struct child *child = crew->children; child; child = child->next)
        if (child_runs(child))
            (void)kill(child->pid, SIGQUIT);
}

/* Each process has descriptors of its own. */
void crew_reopen_logs(const struct crew *crew)
{
    for (const struct child *child = crew->children; child; child = child->next) {
        if (!is_present(crew, child))
            log_output_reopen(child->generation->output);
        if (child_runs(child))
            (void)kill(child->pid, SIGUSR1);
    }
}

static void kill_late(const struct crew *crew, struct child *child, int64_t now_us)
{
    int64_t limit_us = child->generation->config->shutdown_timeout_ms * 1000 + STOP_GRACE_US;
    bool late =
        now_us - child->retired_us > limit_us || (crew->hurried_us > 0 && now_us - crew->hurried_us > STOP_GRACE_US);

    if (child->state != CHILD_RETIRING || child->killed || !late)
        return;
    weft_log_with(WEFT_ERROR, "killing a worker that does not end", WEFT_INT("worker", child->number),
                  WEFT_INT("worker_pid", child->pid));
    child->killed = true;
    child->watch.fault = CHILD_LATE;
    (void)kill(child->pid, SIGKILL);
}

/* ---- Looking ---- */

void crew_tend(struct crew *crew)
{
    int64_t now_us = timer_now_us();

    bury(crew);
    for (struct child *child = crew->children; child; child = child->next)
        kill_late(crew, child, now_us);
    if (crew->stopping || !crew->generation)
        return;
    start_due(crew);
    for (struct child *child = crew->children; child; child = child->next)
        note_ready(child);
    replace_next(crew);
}

bool crew_is_complete(const struct crew *crew)
{
    return crew->generation && !find_worn(crew) && !somebody_arrives(crew) &&
           count_fresh(crew) >= crew->generation->config->workers;
}

bool crew_has_ready(const struct crew *crew)
{
    for (const struct child *child = crew->children; child; child = child->next)
        if (is_present(crew, child) && child->state == CHILD_READY)
            return true;
    return false;
}

size_t crew_running(const struct crew *crew)
{
    size_t running = 0;

    for (const struct child *child = crew->children; child; child = child->next)
        running += child_runs(child);
    return running;
}

bool crew_has_remains(const struct crew *crew)
{
    for (const struct child *child = crew->children; child; child = child->next)
        if (child->state == CHILD_ENDED)
            return true;
    return false;
}

void crew_done(struct crew *crew)
{
    while (crew->children)
        remove_child(crew, crew->children);
    crew->generation = generation_unref(crew->generation);
}
