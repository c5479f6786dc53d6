/*
 * Which queues to read next, and how much of each: by their weights, by what was found in them last, and leaving alone
 * those that cannot be read. Nothing is read here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/options.h"

struct roster;

enum roster_plan {
    ROSTER_NOTHING, /* all queues are being left alone */
    ROSTER_ROUND,   /* one read for each queue, without blocking */
    ROSTER_WAIT,    /* one blocking read of several queues, each with the same count */
    ROSTER_CROWDED, /* the same, but there are fewer places than queues, so that some have to take turns */
};

/* Errors: -ENOMEM. */
int roster_new(const struct queue_spec *queues, size_t count, struct roster **ret_roster) MUST_CHECK;
struct roster *roster_free(struct roster *roster);

/* Plans the next read of at most `limit` jobs, from 1. Times are steady. */
enum roster_plan roster_make_plan(struct roster *roster, unsigned limit, int64_t now_ms);

/* How many jobs to ask of a queue by the last plan; 0: it is not read. */
unsigned roster_count(const struct roster *roster, size_t queue);

/* A queue was asked for `asked` jobs and gave `given`. */
void roster_note_read(struct roster *roster, size_t queue, unsigned asked, size_t given);

/* A queue cannot be read, and is left alone until `until_ms`. */
void roster_leave_alone(struct roster *roster, size_t queue, int64_t until_ms);

/* Any queue may have something, or may be one that cannot be read: they are to be read one by one. */
void roster_doubt_all(struct roster *roster);
