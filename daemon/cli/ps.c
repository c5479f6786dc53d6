/* weft ps: the jobs in flight on all nodes, and what each awaits. */
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#include "daemon/cli/command.h"
#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/ps_collect.h"
#include "daemon/cli/ps_show.h"

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

int ps_run(const struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const char *id = options->word_count > 0 ? options->words[0] : NULL;
    json_t *jobs = json_array();
    int status = jobs ? ps_collect(invocation->session, id, jobs) : problem_report_memory();

    if (status == EX_OK && id && json_array_size(jobs) == 0)
        status = problem_report(1, "no job \"%s\" is in flight, and nothing that it has started is alive", id);
    else if (status == EX_OK)
        status = print_jobs(jobs, options->json);
    json_decref(jobs);
    return status;
}
