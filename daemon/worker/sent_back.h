/*
 * Jobs of a type that were sent back to their queue because too many of them wait here already, and that have not come
 * due there: so that they can be had before that, when there is room.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "context/job.h"

struct sent_back_job {
    STAILQ_ENTRY(sent_back_job) next;
    int64_t sent_ms, due_ms; /* Unix time */
    const char *queue;       /* borrowed */
    const char *entry;       /* in `id`, behind that */
    char id[];
};

/* All zero at first: none. */
struct sent_back {
    STAILQ_HEAD(, sent_back_job) jobs; /* in the order in which they were sent back */
    size_t count;
};

/* Notes a job that comes due at `due_ms`; `queue` is the name of its queue and stays valid. Where there is no memory,
 * or are too many already, it is not noted. */
void sent_back_add(struct sent_back *sent_back, const struct job *record, const char *queue, int64_t now_ms,
                   int64_t due_ms);

/* Takes out the job that was sent back first, which is then the caller's to free(): one that is not due yet, and not so
 * new that Redis may not know of it. NULL: there is none. */
struct sent_back_job *sent_back_take(struct sent_back *sent_back, int64_t now_ms);

void sent_back_done(struct sent_back *sent_back);
