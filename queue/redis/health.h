/*
 * What is wrong with Redis, by subject: a connection, the reading of a queue, its outcomes and the like. The owner is
 * told each sentence once, and once that all is well again: what is true of several subjects, or comes and goes before
 * that, is not said anew.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "queue/options.h"

#define HEALTH_TEXT_SIZE    512
#define HEALTH_REPORTED_MAX 8

/* Of one owner, in whose memory it is. */
struct health {
    void (*tell)(const char *problem, void *user);
    void *user;
    char address[256];
    size_t unhealthy; /* subjects */
    char reported[HEALTH_REPORTED_MAX]
                 [HEALTH_TEXT_SIZE]; /* since all was well; the oldest is forgotten where they are many */
    size_t reported_count;
};

/* Belongs to whoever can tell when it is well again. */
struct health_subject {
    struct health *health;
    bool unhealthy;
};

/* `tell` gets one sentence, or NULL when all is well again; it is called from inside the functions below, and only when
 * something changes. */
void health_init(struct health *health, const struct queue_options *options,
                 void (*tell)(const char *problem, void *user), void *user);

/* A subject is not well; the text (printf's) follows "Redis at ADDRESS ". */
void health_set_problem(struct health_subject *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A subject is well; harmless where it was. */
void health_clear_problem(struct health_subject *subject);
