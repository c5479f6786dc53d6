#include "daemon/supervisor/health_report.h"

#include <stdio.h>
#include <string.h>

#include <weft/log.h>

/* Each text once until it is over, so that several processes that see the same do not say it several times. */
static void say(struct notice *notice, const char *problem)
{
    for (size_t i = 0; i < notice->text_count; i++)
        if (strcmp(notice->texts[i], problem) == 0)
            return;
    if (notice->text_count == NOTICE_TEXTS_MAX)
        return;
    (void)snprintf(notice->texts[notice->text_count], sizeof(notice->texts[0]), "%s", problem);
    notice->text_count++;
    if (notice->ailing)
        weft_log_with(WEFT_WARN, "Redis still does not answer as it should", WEFT_TEXT("error", problem));
    else
        weft_log_with(WEFT_ERROR, "Redis does not answer as it should; trying again", WEFT_TEXT("error", problem));
    notice->ailing = true;
}

static void say_over(struct notice *notice)
{
    weft_log_fields(WEFT_INFO, "Redis answers again", NULL, 0);
    notice->ailing = false;
    notice->text_count = 0;
}

void notice_supervisor(struct notice *notice, const char *problem)
{
    notice->supervisor_ailing = problem != NULL;
    if (problem)
        say(notice, problem);
}

/* What was wrong between two looks counts as well. */
static bool look_at(struct notice *notice, struct child *child)
{
    unsigned news = atomic_load(&child->slot->redis_news);
    char problem[SCOREBOARD_PROBLEM_SIZE];

    if (news != child->redis_news) {
        child->redis_news = news;
        /* The worker may be writing it. */
        memcpy(problem, child->slot->redis_problem, sizeof(problem));
        problem[sizeof(problem) - 1] = '\0';
        say(notice, problem);
    }
    return news % 2 == 1;
}

void notice_look(struct notice *notice, const struct crew *crew)
{
    bool ailing = notice->supervisor_ailing;

    for (struct child *child = crew->children; child; child = child->next)
        if (child_runs(child))
            ailing |= look_at(notice, child);
    if (notice->ailing && !ailing)
        say_over(notice);
}
