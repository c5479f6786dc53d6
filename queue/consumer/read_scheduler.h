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

struct roster;

enum roster_plan {
    ROSTER_NOTHING, /* no queue may be read now */
    ROSTER_ROUND,   /* a read of each queue that has a count, and one of all that are chosen; none of them blocks */
    ROSTER_WAIT,    /* one blocking read of all queues that are chosen */
};

/* What there is room for. */
struct roster_room {
    unsigned limit;     /* jobs that are worth reading now, from 1 */
    unsigned places;    /* that are free in the worker, from `limit` on */
    const size_t *held; /* jobs of each queue that are in the worker */
};

/* Errors: -ENOMEM. */
int roster_new(const struct queue_spec *queues, size_t count, struct roster **ret_roster) MUST_CHECK;
struct roster *roster_free(struct roster *roster);

/* Plans the next read. Times are steady. */
enum roster_plan roster_make_plan(struct roster *roster, const struct roster_room *room, int64_t now_ms);

/* How many jobs to ask of a queue by the last plan, in a read of its own; 0: it has none. */
unsigned roster_count(const struct roster *roster, size_t queue);

/* Whether a queue is one of those that the last plan reads together, how many these are, and how many jobs to ask of
 * each. */
bool roster_is_chosen(const struct roster *roster, size_t queue);
size_t roster_chosen(const struct roster *roster);
unsigned roster_each(const struct roster *roster);

/* Whether all queues that may be read are believed to be empty. */
bool roster_is_idle(const struct roster *roster);

/* Whether there is a queue that may be read now, and which the last plan has left out: it was full, or the places that
 * were free were reserved for others. */
bool roster_misses(const struct roster *roster, const struct roster_room *room, int64_t now_ms);

/* A queue was asked for `asked` jobs and gave `given`. */
void roster_note_read(struct roster *roster, size_t queue, unsigned asked, size_t given);

/* A queue cannot be read, and is left alone until `until_ms`. */
void roster_leave_alone(struct roster *roster, size_t queue, int64_t until_ms);

/* Any queue may have something, or may be one that cannot be read: they are to be read one by one. */
void roster_doubt_all(struct roster *roster);
