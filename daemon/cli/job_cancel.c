#include "daemon/cli/job_cancel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "context/macros.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/script.h"
#include "daemon/cli/stream.h"
#include "queue/clock.h"
#include "queue/consumer/cancel.h"

#define PAUSE_MS 50
#define SEARCHES 4 /* of the stream, until a job counts as unknown */

/* As cancel.lua calls them. */
static const char *const names[] = {
    [PURSUIT_DELAYED] = "delayed", [PURSUIT_QUEUED] = "queued",       [PURSUIT_RUNNING] = "running",
    [PURSUIT_MOVING] = "moving",   [PURSUIT_DONE] = "done",           [PURSUIT_DEAD] = "dead",
    [PURSUIT_UNKNOWN] = "unknown", [PURSUIT_CANCELLED] = "cancelled",
};

static bool is_waiting(enum pursuit_where where)
{
    return where == PURSUIT_DELAYED || where == PURSUIT_QUEUED;
}

bool pursuit_is_alive(enum pursuit_where where)
{
    return is_waiting(where) || where == PURSUIT_RUNNING || where == PURSUIT_MOVING;
}

/* ---- Asking ---- */

static void read_sight(const redisReply *reply, struct pursuit_sight *ret_sight)
{
    struct pursuit_sight sight = {.where = PURSUIT_UNKNOWN};

    for (size_t i = 0; i < ELEMENTS(names); i++)
        if (strcmp(reply->element[0]->str, names[i]) == 0)
            sight.where = (enum pursuit_where)i;
    sight.noted = reply->element[1]->integer != 0;
    sight.enqueued_ms = strtoll(reply->element[2]->str, NULL, 10);
    *ret_sight = sight;
}

/* Calls cancel.lua; `enqueued_ms` is what an earlier call has told. */
static int ask(const struct pursuit *pursuit, bool act, int64_t enqueued_ms, struct pursuit_sight *ret_sight)
{
    const struct queue_options *options = &pursuit->session->config->queue_options;
    struct clock_text now = {0}, enqueued = {0};
    char noted_for[24], keep_done[24], keep_done_max[24];
    const char *arguments[] = {
        act ? "1" : "0",
        pursuit->id,
        pursuit->entry,
        noted_for,
        clock_format(&now, clock_now_ms()),
        clock_format(&enqueued, enqueued_ms),
        keep_done,
        keep_done_max,
    };

    snprintf(noted_for, sizeof(noted_for), "%" PRId64, CANCEL_NOTED_MS);
    snprintf(keep_done, sizeof(keep_done), "%" PRId64, options->keep_done_ms);
    snprintf(keep_done_max, sizeof(keep_done_max), "%" PRId64, options->keep_done_max);
    SESSION_REPLY *reply = script_call(pursuit->session, REDIS_REPLY_ARRAY, &queue_script_cancel, pursuit->keys,
                                       arguments, ELEMENTS(arguments));
    if (!reply)
        return EX_UNAVAILABLE;
    read_sight(reply, ret_sight);
    return EX_OK;
}

int pursuit_look(const struct pursuit *pursuit, struct pursuit_sight *ret_sight)
{
    return ask(pursuit, false, 0, ret_sight);
}

/* Cancels what waits, and notes for the workers what does not. */
static int strike(const struct pursuit *pursuit, struct pursuit_sight *ret_sight)
{
    struct pursuit_sight sight;
    int status = pursuit_look(pursuit, &sight);

    return status == EX_OK ? ask(pursuit, true, sight.enqueued_ms, ret_sight) : status;
}

/* ---- Searching ---- */

static bool visit(const struct stream_entry *entry, void *user)
{
    struct pursuit *pursuit = user;

    if (!job_id_is_of(pursuit->id, entry))
        return false;
    snprintf(pursuit->entry, sizeof(pursuit->entry), "%s", entry->id);
    return true;
}

/* Looks through as many entries as there are now: jobs that come back later are met by what was noted. */
static int search(struct pursuit *pursuit)
{
    const char *key = pursuit->keys->names[QUEUE_KEY_STREAM];
    SESSION_REPLY *reply = session_ask(pursuit->session, REDIS_REPLY_INTEGER, "XLEN %s", key);

    if (!reply)
        return EX_UNAVAILABLE;
    if (stream_walk(pursuit->session, key, STREAM_OLDEST_FIRST, (size_t)reply->integer, visit, pursuit) ==
        STREAM_FAILED)
        return EX_UNAVAILABLE;
    return EX_OK;
}

/* Takes back what was noted. Gives whether it still was: else a worker has met the job. */
static int withdraw(const struct pursuit *pursuit, bool *ret_withdrawn)
{
    SESSION_REPLY *reply = session_ask(pursuit->session, REDIS_REPLY_INTEGER, "ZREM %s %s",
                                       pursuit->keys->names[QUEUE_KEY_CANCEL], pursuit->id);

    if (!reply)
        return EX_UNAVAILABLE;
    *ret_withdrawn = reply->integer > 0;
    return EX_OK;
}

/* ---- Waiting ---- */

/* A job that comes back to wait is caught there. Gives whether the pursuit is over. */
static bool is_over(const struct pursuit *pursuit, struct pursuit_sight *sight, int *status, enum pursuit_end *ret_end)
{
    *status = pursuit_look(pursuit, sight);
    if (*status == EX_OK && is_waiting(sight->where)) {
        *status = strike(pursuit, sight);
        *ret_end = PURSUIT_CAUGHT;
        return *status != EX_OK || is_waiting(sight->where);
    }
    *ret_end = sight->where == PURSUIT_CANCELLED ? PURSUIT_STOPPED : PURSUIT_LATE;
    return *status != EX_OK || (!pursuit_is_alive(sight->where) && !sight->noted);
}

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
}

static int wait_for_worker(const struct pursuit *pursuit, struct pursuit_sight *sight, enum pursuit_end *ret_end)
{
    int64_t limit_ms = clock_steady_ms() + PURSUIT_SECONDS * 1000;
    int status;

    while (!is_over(pursuit, sight, &status, ret_end)) {
        if (clock_steady_ms() >= limit_ms) {
            *ret_end = PURSUIT_ASKED;
            return EX_OK;
        }
        pause_shortly();
    }
    return status;
}

/* For a job whose entry nobody knows. One whose workers die is given back under a new entry each time, and may slip
 * through a single search. */
static int strike_in_stream(struct pursuit *pursuit, struct pursuit_sight *sight, bool *ret_withdrawn)
{
    int status = search(pursuit);

    for (int again = SEARCHES; status == EX_OK; status = search(pursuit)) {
        status = pursuit->entry[0] ? strike(pursuit, sight) : pursuit_look(pursuit, sight);
        if (status != EX_OK || pursuit_is_alive(sight->where) || sight->where != PURSUIT_UNKNOWN || --again == 0)
            break;
        pursuit->entry[0] = '\0';
        pause_shortly();
    }
    if (status == EX_OK && !pursuit_is_alive(sight->where) && sight->noted)
        status = withdraw(pursuit, ret_withdrawn);
    return status;
}

int pursuit_cancel(struct pursuit *pursuit, enum pursuit_end *ret_end, struct pursuit_sight *ret_sight)
{
    bool withdrawn = false;
    int status = strike(pursuit, ret_sight);

    if (status == EX_OK && !is_waiting(ret_sight->where) && ret_sight->where != PURSUIT_RUNNING)
        status = strike_in_stream(pursuit, ret_sight, &withdrawn);
    if (status != EX_OK)
        return status;
    if (!withdrawn && !is_waiting(ret_sight->where))
        return wait_for_worker(pursuit, ret_sight, ret_end);
    *ret_end = withdrawn ? PURSUIT_NOTHING : PURSUIT_CAUGHT;
    return EX_OK;
}
