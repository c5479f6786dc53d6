#include "daemon/supervisor/health_report.h"

#include <stdio.h>
#include <string.h>

#include <weft/log.h>

/* Each text once until it is over, so that several processes that see the same do not say it several times. */
void health_report_say(struct health_report *health_report, const char *problem)
{
    for (size_t i = 0; i < health_report->text_count; i++)
        if (strcmp(health_report->texts[i], problem) == 0)
            return;
    if (health_report->text_count == HEALTH_REPORT_TEXTS_MAX)
        return;
    (void)snprintf(health_report->texts[health_report->text_count], sizeof(health_report->texts[0]), "%s", problem);
    health_report->text_count++;
    if (health_report->unhealthy)
        weft_log_with(WEFT_WARN, "Redis still does not answer as it should", WEFT_TEXT("error", problem));
    else
        weft_log_with(WEFT_ERROR, "Redis does not answer as it should; trying again", WEFT_TEXT("error", problem));
    health_report->unhealthy = true;
}

/* What was wrong between two looks counts as well. */
static bool look_at(struct health_report *health_report, struct worker_process *worker)
{
    unsigned news = atomic_load(&worker->slot->redis_news);
    char problem[SCOREBOARD_PROBLEM_SIZE];

    if (news != worker->redis_news) {
        worker->redis_news = news;
        /* The worker may be writing it. */
        memcpy(problem, worker->slot->redis_problem, sizeof(problem));
        problem[sizeof(problem) - 1] = '\0';
        health_report_say(health_report, problem);
    }
    return news % 2 == 1;
}

void health_report_check(struct health_report *health_report, const struct worker_pool *pool)
{
    struct worker_process *worker;

    if (!pool->generation)
        return;
    bool unhealthy = pool->generation->redis_problem[0];
    if (unhealthy)
        health_report_say(health_report, pool->generation->redis_problem);
    TAILQ_FOREACH (worker, &pool->workers, entry)
        if (worker_process_runs(worker) && worker->generation == pool->generation)
            unhealthy |= look_at(health_report, worker);
    if (!health_report->unhealthy || unhealthy)
        return;
    weft_log_fields(WEFT_INFO, "Redis answers again", NULL, 0);
    health_report->unhealthy = false;
    health_report->text_count = 0;
}
