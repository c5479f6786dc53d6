/* weft ps: the jobs in flight on all nodes, and what each awaits. */
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#include "daemon/cli/command.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/ps_collect.h"
#include "daemon/cli/ps_show.h"

static const struct option_row rows[] = {
    {'q', "queue", "QUEUE", "only jobs of this queue; else of all", offsetof(struct options, queue)},
    {0},
};

static int print_jobs(const json_t *jobs, bool json)
{
    struct table table;
    int r = 0;

    ps_show_begin(&table);
    for (size_t i = 0; i < json_array_size(jobs) && r == 0; i++) {
        json_t *job = json_array_get(jobs, i);

        r = json ? print_json(json_incref(job)) : ps_show_job(&table, job);
    }
    if (!json && json_array_size(jobs) == 0)
        puts("No jobs in flight.");
    else if (!json && r == 0)
        table_print(&table);
    table_done(&table);
    return r < 0 ? problem_report_memory() : EX_OK;
}

static int ps_run(const struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const char *id = options->word_count > 0 ? options->words[0] : NULL;
    struct session session;
    int status = id ? job_id_check("ps", id) : EX_OK;

    if (status == EX_OK)
        status = session_open(&session, invocation->config, options->queue);
    if (status != EX_OK)
        return status;
    json_t *jobs = json_array();
    status = jobs ? ps_collect(&session, id, jobs) : problem_report_memory();
    session_close(&session);
    if (status == EX_OK && id && json_array_size(jobs) == 0)
        status = problem_report(1, "no job \"%s\" is in flight, and nothing that it has started is alive", id);
    else if (status == EX_OK)
        status = print_jobs(jobs, options->json);
    json_decref(jobs);
    return status;
}

const struct command command_ps = {
    .name = "ps",
    .synopsis = "[ID]",
    .summary = "Show the jobs in flight on all nodes, and what each awaits",
    .details = "A job that has ended, and has started what goes on, is `outlived`. Of a worker that does not answer,\n"
               "being stuck in a handler, the jobs are shown that Redis knows it to hold. With ID, also what led to\n"
               "each wait is shown.\n",
    .rows = rows,
    .words_max = 1,
    .run = ps_run,
};
