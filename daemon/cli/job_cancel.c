#include "daemon/cli/job_cancel.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "context/macros.h"
#include "context/time.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/stream.h"
#include "queue/consumer/control.h"

#define PAUSE_MS 50
#define SEARCHES 4 /* of the stream, until a job counts as unknown */

/* As cancel.lua calls them. */
static const char *const names[] = {
    [JOB_CANCEL_DELAYED] = "delayed", [JOB_CANCEL_QUEUED] = "queued",       [JOB_CANCEL_RUNNING] = "running",
    [JOB_CANCEL_MOVING] = "moving",   [JOB_CANCEL_DONE] = "done",           [JOB_CANCEL_DEAD] = "dead",
    [JOB_CANCEL_UNKNOWN] = "unknown", [JOB_CANCEL_CANCELLED] = "cancelled",
};

static bool is_waiting(enum job_cancel_where where)
{
    return where == JOB_CANCEL_DELAYED || where == JOB_CANCEL_QUEUED;
}

bool job_cancel_is_alive(enum job_cancel_where where)
{
    return is_waiting(where) || where == JOB_CANCEL_RUNNING || where == JOB_CANCEL_MOVING;
}

/* ---- Asking ---- */

/* Calls cancel.lua; `enqueued_ms` is what an earlier call has told. */
static int ask(const struct job_cancel *job_cancel, bool act, int64_t enqueued_ms, struct job_state *ret_state)
{
    const struct queue_options *options = &job_cancel->session->config->queue_options;
    struct time_text now = {0}, enqueued = {0};
    char noted_for[24], keep_done[24], keep_done_max[24];
    const char *arguments[] = {
        act ? "1" : "0",
        job_cancel->id,
        job_cancel->entry,
        noted_for,
        time_format_ms(&now, time_unix_ms()),
        time_format_ms(&enqueued, enqueued_ms),
        keep_done,
        keep_done_max,
    };

    snprintf(noted_for, sizeof(noted_for), "%" PRId64, CANCEL_NOTED_MS);
    snprintf(keep_done, sizeof(keep_done), "%" PRId64, options->keep_done_ms);
    snprintf(keep_done_max, sizeof(keep_done_max), "%" PRId64, options->keep_done_max);
    SESSION_REPLY *reply = session_call_script(job_cancel->session, REDIS_REPLY_ARRAY, &queue_script_cancel,
                                               job_cancel->keys, arguments, NULL, ELEMENTS(arguments));
    if (!reply)
        return EX_UNAVAILABLE;
    *ret_state = (struct job_state){
        .where = JOB_CANCEL_UNKNOWN,
        .noted = reply->element[1]->integer != 0,
        .enqueued_ms = strtoll(reply->element[2]->str, NULL, 10),
    };
    for (size_t i = 0; i < ELEMENTS(names); i++)
        if (strcmp(reply->element[0]->str, names[i]) == 0)
            ret_state->where = (enum job_cancel_where)i;
    return EX_OK;
}

int job_cancel_look(const struct job_cancel *job_cancel, struct job_state *ret_state)
{
    return ask(job_cancel, false, 0, ret_state);
}

/* Cancels what waits, and notes for the workers what does not. */
static int request(const struct job_cancel *job_cancel, struct job_state *ret_state)
{
    struct job_state state;
    int status = job_cancel_look(job_cancel, &state);

    return status == EX_OK ? ask(job_cancel, true, state.enqueued_ms, ret_state) : status;
}

/* ---- Searching ---- */

/* Looks through as many entries as there are now: jobs that come back later are met by what was noted. */
static int find_entry(struct job_cancel *job_cancel)
{
    const char *key = job_cancel->keys->names[QUEUE_KEY_STREAM];
    struct job_search search = {.id = job_cancel->id};
    SESSION_REPLY *reply = session_ask(job_cancel->session, REDIS_REPLY_INTEGER, "XLEN %s", key);

    if (!reply)
        return EX_UNAVAILABLE;
    if (stream_walk(job_cancel->session, key, STREAM_OLDEST_FIRST, (size_t)reply->integer, job_search_visit, &search) ==
        STREAM_FAILED)
        return EX_UNAVAILABLE;
    if (search.entry[0])
        memcpy(job_cancel->entry, search.entry, sizeof(job_cancel->entry));
    return EX_OK;
}

/* ---- Waiting ---- */

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
}

/* For a job whose entry nobody knows. One whose workers die is given back under a new entry each time, and may slip
 * through a single search. */
static int request_in_stream(struct job_cancel *job_cancel, struct job_state *state, bool *ret_withdrawn)
{
    int status = find_entry(job_cancel);

    for (int again = SEARCHES; status == EX_OK; status = find_entry(job_cancel)) {
        status = job_cancel->entry[0] ? request(job_cancel, state) : job_cancel_look(job_cancel, state);
        if (status != EX_OK || job_cancel_is_alive(state->where) || state->where != JOB_CANCEL_UNKNOWN || --again == 0)
            break;
        job_cancel->entry[0] = '\0';
        pause_shortly();
    }
    if (status != EX_OK || job_cancel_is_alive(state->where) || !state->noted)
        return status;
    /* Takes back what was noted; where it is no longer, a worker has met the job. */
    SESSION_REPLY *reply = session_ask(job_cancel->session, REDIS_REPLY_INTEGER, "ZREM %s %s",
                                       job_cancel->keys->names[QUEUE_KEY_CANCEL], job_cancel->id);

    if (!reply)
        return EX_UNAVAILABLE;
    *ret_withdrawn = reply->integer > 0;
    return EX_OK;
}

/* A job that comes back to wait is caught there. */
static int wait_for_worker(const struct job_cancel *job_cancel, struct job_state *state, enum job_cancel_end *ret_end)
{
    for (int64_t limit_ms = time_steady_ms() + JOB_CANCEL_SECONDS * 1000;; pause_shortly()) {
        int status = job_cancel_look(job_cancel, state);

        if (status == EX_OK && is_waiting(state->where)) {
            status = request(job_cancel, state);
            *ret_end = JOB_CANCEL_CAUGHT;
            if (status != EX_OK || is_waiting(state->where))
                return status;
        } else {
            *ret_end = state->where == JOB_CANCEL_CANCELLED ? JOB_CANCEL_STOPPED : JOB_CANCEL_LATE;
            if (status != EX_OK || (!job_cancel_is_alive(state->where) && !state->noted))
                return status;
        }
        if (time_steady_ms() >= limit_ms) {
            *ret_end = JOB_CANCEL_ASKED;
            return EX_OK;
        }
    }
}

int job_cancel_cancel(struct job_cancel *job_cancel, enum job_cancel_end *ret_end, struct job_state *ret_state)
{
    bool withdrawn = false;

    assert(job_cancel->entry[0] == '\0');
    int status = request(job_cancel, ret_state);

    if (status == EX_OK && !is_waiting(ret_state->where) && ret_state->where != JOB_CANCEL_RUNNING)
        status = request_in_stream(job_cancel, ret_state, &withdrawn);
    if (status != EX_OK)
        return status;
    /* Where its entry was found and is gone by now, the worker has met what was noted first; what was withdrawn was
     * noted once more, too late. */
    if (!is_waiting(ret_state->where) && (!withdrawn || job_cancel->entry[0]))
        return wait_for_worker(job_cancel, ret_state, ret_end);
    *ret_end = withdrawn ? JOB_CANCEL_NOTHING : JOB_CANCEL_CAUGHT;
    return EX_OK;
}
