#include "daemon/cli/dead_find.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/cli/print.h"
#include "daemon/cli/problem.h"
#include "daemon/cli/stream.h"

int dead_report_missing(const char *id)
{
    return problem_report(1, "no dead letter of a job \"%s\"; `weft dead` lists those that there are", id);
}

int dead_report_done(const char *words, const char *id, const struct dead_letter *letter, bool json)
{
    const char *queue = letter->keys->queue;

    if (!json) {
        printf("%s %s in queue %s\n", words, id, queue);
        return EX_OK;
    }
    return print_json(json_pack("{s:s, s:s}", "id", id, "queue", queue)) < 0 ? problem_report_memory() : EX_OK;
}

int dead_find(struct session *session, const char *id, struct dead_letter *ret_letter)
{
    struct dead_letter letter = {0};

    for (size_t i = 0; i < session->queue_count; i++) {
        const struct queue_keys *keys = &session->queues[i];
        struct job_search search = {.id = id};

        if (stream_walk(session, keys->names[QUEUE_KEY_DEAD], STREAM_NEWEST_FIRST, SIZE_MAX, job_search_visit,
                        &search) == STREAM_FAILED)
            return EX_UNAVAILABLE;
        if (!search.entry[0])
            continue;
        if (letter.keys)
            return problem_report(
                EX_USAGE,
                "there is a dead letter of a job \"%s\" in queue %s and another in queue %s; choose one with -q", id,
                letter.keys->queue, keys->queue);
        letter.keys = keys;
        memcpy(letter.entry, search.entry, sizeof(letter.entry));
    }
    if (!letter.keys)
        return dead_report_missing(id);
    *ret_letter = letter;
    return EX_OK;
}
