/* weft cancel: stops a job, wherever it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "context/cleanup.h"
#include "daemon/cli/command.h"
#include "daemon/cli/job_cancel.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"

/* ---- How it went ---- */

/* What stands around the job's ID and its queue. */
static const struct words_of_end {
    const char *state; /* in JSON */
    const char *before;
    const char *after;
} words_of_ends[] = {
    [JOB_CANCEL_CAUGHT] = {"cancelled", "cancelled", ""},
    [JOB_CANCEL_STOPPED] = {"cancelled", "cancelled", " while it was running"},
    [JOB_CANCEL_ASKED] = {"requested", "asked the worker that has", " to stop it; it has not ended yet"},
    [JOB_CANCEL_LATE] = {"unknown", "asked the worker that had",
                         " to stop it; it has ended, and no report is kept that would say how"},
};

/* What is said of a job that has ended by itself; `when` and the queue's name make it a sentence. */
static int report_late(const struct job_cancel *job_cancel, enum job_cancel_where where, const char *when)
{
    const char *what = where == JOB_CANCEL_DONE ? "is done" : where == JOB_CANCEL_DEAD ? "is dead" : "is cancelled";

    return problem_report(1, "job \"%s\" in queue %s %s %s", job_cancel->id, job_cancel->keys->queue, what, when);
}

/* ---- Where it is ---- */

/* Gives the exit status, and whether this has been the queue of the job. */
static int cancel_in(struct job_cancel *job_cancel, struct job_state *state, bool json, bool *ret_found)
{
    enum job_cancel_end end;
    int status = job_cancel_cancel(job_cancel, &end, state);

    *ret_found = status == EX_OK && end != JOB_CANCEL_NOTHING;
    if (!*ret_found)
        return status;
    if (end == JOB_CANCEL_LATE && state->where != JOB_CANCEL_UNKNOWN)
        return report_late(job_cancel, state->where, "and could not be stopped before");
    const struct words_of_end *words = &words_of_ends[end];

    if (!json) {
        printf("%s %s in queue %s%s\n", words->before, job_cancel->id, job_cancel->keys->queue, words->after);
        return EX_OK;
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "id", job_cancel->id, "queue", job_cancel->keys->queue, "state", words->state);

    return print_json(object) < 0 ? problem_report_memory() : EX_OK;
}

/* The one queue in which it is alive is taken; where there is none, it may be in the stream of any. */
static int choose(struct job_cancel *job_cancels, struct job_state *states, size_t count, bool json)
{
    struct job_cancel *alive = NULL;
    bool found = false;
    int status = EX_OK;

    for (size_t i = 0; i < count && status == EX_OK; i++) {
        status = job_cancel_look(&job_cancels[i], &states[i]);
        if (status != EX_OK || !job_cancel_is_alive(states[i].where))
            continue;
        if (alive)
            return problem_report(EX_USAGE,
                                  "there is a job \"%s\" in queue %s and another in queue %s; choose one with -q",
                                  alive->id, alive->keys->queue, job_cancels[i].keys->queue);
        alive = &job_cancels[i];
    }
    for (size_t i = 0; i < count && status == EX_OK && !found; i++)
        if (!alive || alive == &job_cancels[i])
            status = cancel_in(&job_cancels[i], &states[i], json, &found);
    if (found || status != EX_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        if (states[i].where != JOB_CANCEL_UNKNOWN)
            return report_late(&job_cancels[i], states[i].where, "already");
    return problem_report(
        1, "no job \"%s\" in the queues of this configuration; reports are kept for as long as keep: says",
        job_cancels[0].id);
}

int cancel_run(const struct invocation *invocation)
{
    struct session *session = invocation->session;
    size_t count = session->queue_count;
    CLEANUP_FREE struct job_cancel *job_cancels = calloc(count, sizeof(*job_cancels));
    CLEANUP_FREE struct job_state *states = calloc(count, sizeof(*states));

    if (!job_cancels || !states)
        return problem_report_memory();
    for (size_t i = 0; i < count; i++)
        job_cancels[i] =
            (struct job_cancel){.session = session, .keys = &session->queues[i], .id = invocation->options.words[0]};
    return choose(job_cancels, states, count, invocation->options.json);
}
