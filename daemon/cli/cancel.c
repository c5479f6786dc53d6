/* weft cancel: stops a job, wherever it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/cli/command.h"
#include "daemon/cli/job_cancel.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"

static const struct option_row rows[] = {
    {'q', "queue", "QUEUE", "only in this queue; else in all of them", offsetof(struct options, queue)},
    {0},
};

/* ---- How it went ---- */

/* What stands around the job's ID and its queue. */
static const struct words_of_end {
    const char *state; /* in JSON */
    const char *before;
    const char *after;
} words_of_ends[] = {
    [PURSUIT_CAUGHT] = {"cancelled", "cancelled", ""},
    [PURSUIT_STOPPED] = {"cancelled", "cancelled", " while it was running"},
    [PURSUIT_ASKED] = {"requested", "asked the worker that has", " to stop it; it has not ended yet"},
    [PURSUIT_LATE] = {"unknown", "asked the worker that had",
                      " to stop it; it has ended, and no report is kept that would say how"},
};

static int print_end(const struct pursuit *pursuit, enum pursuit_end end, bool json)
{
    const struct words_of_end *words = &words_of_ends[end];

    if (!json) {
        printf("%s %s in queue %s%s\n", words->before, pursuit->id, pursuit->keys->queue, words->after);
        return EX_OK;
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "id", pursuit->id, "queue", pursuit->keys->queue, "state", words->state);

    return print_json(object) < 0 ? problem_report_memory() : EX_OK;
}

/* What is said of a job that has ended by itself; `when` and the queue's name make it a sentence. */
static int report_late(const struct pursuit *pursuit, enum pursuit_where where, const char *when)
{
    const char *what = where == PURSUIT_DONE ? "is done" : where == PURSUIT_DEAD ? "is dead" : "is cancelled";

    return problem_report(1, "job \"%s\" in queue %s %s %s", pursuit->id, pursuit->keys->queue, what, when);
}

static int report_nothing(const struct pursuit *pursuits, const struct pursuit_sight *sights, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sights[i].where != PURSUIT_UNKNOWN)
            return report_late(&pursuits[i], sights[i].where, "already");
    return problem_report(
        1, "no job \"%s\" in the queues of this configuration; reports are kept for as long as keep: says",
        pursuits[0].id);
}

static int report_ambiguous(const struct pursuit *one, const struct pursuit *other)
{
    return problem_report(EX_USAGE, "there is a job \"%s\" in queue %s and another in queue %s; choose one with -q",
                          one->id, one->keys->queue, other->keys->queue);
}

/* ---- Where it is ---- */

/* Gives the exit status, and whether this has been the queue of the job. */
static int cancel_in(struct pursuit *pursuit, struct pursuit_sight *sight, bool json, bool *ret_found)
{
    enum pursuit_end end;
    int status = pursuit_cancel(pursuit, &end, sight);

    *ret_found = status == EX_OK && end != PURSUIT_NOTHING;
    if (!*ret_found)
        return status;
    if (end == PURSUIT_LATE && sight->where != PURSUIT_UNKNOWN)
        return report_late(pursuit, sight->where, "and could not be stopped before");
    return print_end(pursuit, end, json);
}

/* The one queue in which it is alive is taken; where there is none, it may be in the stream of any. */
static int choose(struct pursuit *pursuits, struct pursuit_sight *sights, size_t count, bool json)
{
    struct pursuit *alive = NULL;
    bool found = false;
    int status = EX_OK;

    for (size_t i = 0; i < count && status == EX_OK; i++) {
        status = pursuit_look(&pursuits[i], &sights[i]);
        if (status != EX_OK || !pursuit_is_alive(sights[i].where))
            continue;
        if (alive)
            return report_ambiguous(alive, &pursuits[i]);
        alive = &pursuits[i];
    }
    for (size_t i = 0; i < count && status == EX_OK && !found; i++)
        if (!alive || alive == &pursuits[i])
            status = cancel_in(&pursuits[i], &sights[i], json, &found);
    return found || status != EX_OK ? status : report_nothing(pursuits, sights, count);
}

static int cancel(struct session *session, const char *id, bool json)
{
    size_t count = session->queue_count;
    struct pursuit *pursuits = calloc(count, sizeof(*pursuits));
    struct pursuit_sight *sights = calloc(count, sizeof(*sights));
    int status;

    for (size_t i = 0; pursuits && i < count; i++)
        pursuits[i] = (struct pursuit){.session = session, .keys = &session->queues[i], .id = id};
    status = pursuits && sights ? choose(pursuits, sights, count, json) : problem_report_memory();
    free(pursuits);
    free(sights);
    return status;
}

static int cancel_run(const struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const char *id = options->words[0];
    struct session session;
    int status = job_id_check("cancel", id);

    if (status == EX_OK)
        status = session_open(&session, invocation->config, options->queue);
    if (status != EX_OK)
        return status;
    status = cancel(&session, id, options->json);
    session_close(&session);
    return status;
}

const struct command command_cancel = {
    .name = "cancel",
    .synopsis = "ID",
    .summary = "Cancel a job that waits or runs",
    .details = "A job that waits is taken off. The worker of a job that runs is asked to stop it, for which a few\n"
               "seconds are waited. What was cancelled has a report that says so.\n",
    .rows = rows,
    .words_min = 1,
    .words_max = 1,
    .run = cancel_run,
};
