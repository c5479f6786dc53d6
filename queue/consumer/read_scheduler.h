/*
 * Which queues to read next, and how much of each: by their weights and limits, by what was found in them last, and
 * leaving alone those that cannot be read. Nothing is read here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/options.h"

/*
 * Shares out places among queues by their weights: fair over time, not only within one round, and with nothing left
 * over as long as somebody can take it.
 *
 * Many places are given out in a few portions, not one by one, so that a queue gets a number of jobs worth the command
 * that reads them and the one that settles them. Where there are many queues, that counts for small rounds as well:
 * most of the queues then get nothing this time.
 */

struct read_share {
    unsigned weight; /* from 1 */
    unsigned most;   /* places it can take in this round; 0: none */
    unsigned own;    /* so many of the places it takes are its own, and not common ones */
    unsigned places; /* the result */
    uint64_t spent;  /* places it has had so far, by its weight; kept from round to round, 0 at first */
};

struct sharing {
    struct read_share *shares;
    size_t count;
    size_t first; /* who comes before the others where all are alike */
    uint64_t now; /* what the one that had spent the least had spent; 0 at first */
};

/* Shares out at most `places`, of which `common` are not anybody's own; gives how many were taken. */
unsigned read_share_out(struct sharing *sharing, unsigned places, unsigned common);

struct read_scheduler;

enum read_plan {
    READ_NOTHING, /* no queue may be read now */
    READ_ROUND,   /* a read of each queue that has a count, and one of all that are chosen; none of them blocks */
    READ_WAIT,    /* one blocking read of all queues that are chosen */
};

/* What there is room for. */
struct read_scheduler_room {
    unsigned limit;     /* jobs that are worth reading now, from 1 */
    unsigned places;    /* that are free in the worker, from `limit` on */
    const size_t *held; /* jobs of each queue that are in the worker */
};

/* `first` is the number of the queue to begin with where there are many: workers that begin with different ones do not
 * read the same queues at the same time. Errors: -ENOMEM. */
int read_scheduler_new(const struct queue_spec *queues, size_t count, size_t first,
                       struct read_scheduler **ret_scheduler) MUST_CHECK;
struct read_scheduler *read_scheduler_free(struct read_scheduler *scheduler);

/* Plans the next read. Times are steady. */
enum read_plan read_scheduler_make_plan(struct read_scheduler *scheduler, const struct read_scheduler_room *room,
                                        int64_t now_ms);

/* How many jobs to ask of a queue by the last plan, in a read of its own; 0: it has none. */
unsigned read_scheduler_count(const struct read_scheduler *scheduler, size_t queue);

/* Whether a queue is one of those that the last plan reads together, how many these are, and how many jobs to ask of
 * each. */
bool read_scheduler_is_chosen(const struct read_scheduler *scheduler, size_t queue);
size_t read_scheduler_chosen(const struct read_scheduler *scheduler);
unsigned read_scheduler_each(const struct read_scheduler *scheduler);

/* Whether all queues that may be read are believed to be empty. */
bool read_scheduler_is_idle(const struct read_scheduler *scheduler);

/* Whether there is a queue that may be read now, and which the last plan has left out: it was full, or the places that
 * were free were reserved for others. */
bool read_scheduler_misses(const struct read_scheduler *scheduler, const struct read_scheduler_room *room,
                           int64_t now_ms);

/* A queue was asked for `asked` jobs and gave `given`. */
void read_scheduler_note_read(struct read_scheduler *scheduler, size_t queue, unsigned asked, size_t given);

/* A queue cannot be read, and is left alone until `until_ms`. */
void read_scheduler_leave_alone(struct read_scheduler *scheduler, size_t queue, int64_t until_ms);

/* Any queue may have something, or may be one that cannot be read: they are to be read one by one. */
void read_scheduler_doubt_all(struct read_scheduler *scheduler);
