/*
 * For tests of the queues: a client and the maintenance on a real Redis, and the events that they gave.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <event2/event.h>

#include "queue/consumer/client.h"
#include "queue/maintenance/maintenance.h"
#include "tests/support/redis_server.h"

enum { QUEUES_JOBS_MAX = 16384, QUEUES_PROBLEMS_MAX = 64, QUEUES_WAIT_MS = 30000 };

struct queues {
    struct redis_server server;
    struct queue_spec specs[4];
    struct queue_options options;
    struct event_base *base;
    struct event *tick;
    struct queue_client *client;
    struct maintenance *maintenance;
    const char *consumer;

    void (*on_job)(struct queues *queues, struct job *job); /* NULL: jobs are kept in `jobs` */
    struct job *jobs[QUEUES_JOBS_MAX];
    size_t job_count;
    char rejected[1024];
    size_t rejected_count;
    char cancelled[256]; /* the last that the client has told of */
    size_t cancelled_count;
    char discarded[256];                     /* the ID of a job, and its metadata's first value */
    char duplicate[256];                     /* the ID of a job, and of the one that has its unique key */
    char problems[QUEUES_PROBLEMS_MAX][512]; /* "" for "well again" */
    size_t problem_count;
    size_t drained;
    size_t ready;
    char reclaimed[256];
    enum reclaim_reason reason;
    size_t reclaims;
    char lost[256];
    size_t lost_count;
    char inquired[256]; /* the queue, the job and the words of an inquiry, which is answered with `told` */
    size_t inquiries;
    const char *told;
    char answer[256]; /* to what was enqueued */
    int answer_result;
    size_t answers;
};

/* ---- Events ---- */

static inline void queues_take_job(struct job *job, void *user)
{
    struct queues *queues = user;

    if (queues->on_job)
        queues->on_job(queues, job);
    else
        queues->jobs[queues->job_count] = job;
    queues->job_count++;
    queue_client_note_started(queues->client);
}

static inline bool queues_know_type(const char *type, void *user)
{
    (void)user;
    return strcmp(type, "nosuch") != 0;
}

static inline void queues_note_rejection(const struct queue_rejection *rejection, void *user)
{
    struct queues *queues = user;

    (void)snprintf(queues->rejected, sizeof(queues->rejected), "%s %s %s: %s", rejection->queue, rejection->id,
                   rejection->type ? rejection->type : "-", rejection->reason);
    queues->rejected_count++;
}

static inline void queues_note_cancelled(const char *queue, const char *id, void *user)
{
    struct queues *queues = user;

    (void)snprintf(queues->cancelled, sizeof(queues->cancelled), "%s %s", queue, id);
    queues->cancelled_count++;
}

static inline void queues_note_discarded(const struct job *job, void *user)
{
    struct queues *queues = user;

    (void)snprintf(queues->discarded, sizeof(queues->discarded), "%s %s", job->id,
                   job->metadata_count > 0 ? job->metadata[0].value : "-");
}

static inline void queues_note_duplicate(const struct job *job, const char *first, void *user)
{
    struct queues *queues = user;

    (void)snprintf(queues->duplicate, sizeof(queues->duplicate), "%s of %s", job->id, first);
}

static inline void queues_note_problem(const char *problem, void *user)
{
    struct queues *queues = user;

    if (queues->problem_count < QUEUES_PROBLEMS_MAX)
        (void)snprintf(queues->problems[queues->problem_count++], sizeof(queues->problems[0]), "%s",
                       problem ? problem : "");
}

static inline void queues_note_drained(void *user)
{
    ((struct queues *)user)->drained++;
}

static inline void queues_note_ready(void *user)
{
    ((struct queues *)user)->ready++;
}

static inline void queues_note_lost(const char *queue, const char *entry, void *user)
{
    struct queues *queues = user;

    (void)snprintf(queues->lost, sizeof(queues->lost), "%s %s", queue, entry);
    queues->lost_count++;
}

static inline void queues_note_reclaimed(const char *queue, const char *consumer, long count,
                                         enum reclaim_reason reason, void *user)
{
    struct queues *queues = user;

    (void)snprintf(queues->reclaimed, sizeof(queues->reclaimed), "%s %s %ld", queue, consumer, count);
    queues->reason = reason;
    queues->reclaims++;
}

static inline void queues_note_inquiry(const struct queue_inquiry *inquiry, void *user)
{
    struct queues *queues = user;

    (void)snprintf(queues->inquired, sizeof(queues->inquired), "%s %s %s", inquiry->queue,
                   inquiry->id ? inquiry->id : "-", inquiry->text);
    queues->inquiries++;
    if (queues->told)
        assert_int_equal(queue_client_answer(queues->client, inquiry, queues->told, strlen(queues->told)), 0);
}

static inline void queues_note_answer(int result, const char *text, void *arg)
{
    struct queues *queues = arg;

    queues->answer_result = result;
    (void)snprintf(queues->answer, sizeof(queues->answer), "%s", text ? text : "");
    queues->answers++;
}

static const struct queue_events queues_events = {
    .job = queues_take_job,
    .type_known = queues_know_type,
    .rejected = queues_note_rejection,
    .cancelled = queues_note_cancelled,
    .discarded = queues_note_discarded,
    .duplicate = queues_note_duplicate,
    .lost = queues_note_lost,
    .inquired = queues_note_inquiry,
    .redis_state = queues_note_problem,
    .drained = queues_note_drained,
};

static const struct maintenance_events queues_maintenance_events = {
    .ready = queues_note_ready,
    .redis_state = queues_note_problem,
    .reclaimed = queues_note_reclaimed,
};

/* ---- Life ---- */

static inline void queues_on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* One queue "q", or as many of "q", "r", "s", "t". */
static inline void queues_set_up(struct queues *queues, size_t queue_count)
{
    static const char *const names[] = {"q", "r", "s", "t"};

    (void)signal(SIGPIPE, SIG_IGN);
    queues->base = event_base_new();
    queues->tick = event_new(queues->base, -1, EV_PERSIST, queues_on_tick, NULL);
    (void)event_add(queues->tick, &(struct timeval){.tv_usec = 2000});
    for (size_t i = 0; i < queue_count; i++)
        queues->specs[i] = (struct queue_spec){.name = names[i], .weight = 1};
    queues->options = (struct queue_options){
        .socket_path = queues->server.socket,
        .password = queues->server.password,
        .prefix = "weft",
        .node = "node1",
        .queues = queues->specs,
        .queue_count = queue_count,
        .lease_ms = 30000,
        .keep_done_ms = 3600000,
        .keep_done_max = 100000,
        .keep_failed_ms = 86400000,
        .keep_dead = 10000,
        .payload_max = 1024 * 1024,
        .held_max = 256 * 1024 * 1024,
    };
    queues->consumer = "worker1";
}

static inline void queues_start_client(struct queues *queues, unsigned room)
{
    assert_int_equal(
        queue_client_new(queues->base, &queues->options, queues->consumer, &queues_events, queues, &queues->client), 0);
    queue_client_set_capacity(queues->client, room);
}

static inline void queues_start_maintenance(struct queues *queues)
{
    assert_int_equal(
        maintenance_new(queues->base, &queues->options, &queues_maintenance_events, queues, &queues->maintenance), 0);
}

static inline void queues_tear_down(struct queues *queues)
{
    queues->client = queue_client_free(queues->client);
    queues->maintenance = maintenance_free(queues->maintenance);
    for (size_t i = 0; i < QUEUES_JOBS_MAX; i++)
        queues->jobs[i] = job_free(queues->jobs[i]);
    event_free(queues->tick);
    event_base_free(queues->base);
}

/* The whole group of tests shares one server; each test gets it empty. */
static inline int queues_start_server(void **state)
{
    struct queues *queues = calloc(1, sizeof(*queues));

    redis_server_start(&queues->server);
    *state = queues;
    return 0;
}

static inline int queues_stop_server(void **state)
{
    struct queues *queues = *state;

    redis_server_stop(&queues->server);
    free(queues);
    return 0;
}

static inline struct queues *queues_begin(void **state, size_t queue_count)
{
    struct queues *queues = *state;
    struct redis_server server = queues->server;

    memset(queues, 0, sizeof(*queues));
    queues->server = server;
    assert_string_equal(redis_server_ask(&queues->server, "FLUSHALL"), "OK");
    queues_set_up(queues, queue_count);
    return queues;
}

/* A message with more fields than a script can hand to a command: its type, and 9,999 whose names are their values. */
static inline void queues_add_huge_message(struct queues *queues)
{
    enum { FIELDS = 10000 };
    const char **words = calloc(3 + 2 * FIELDS, sizeof(*words));
    char(*names)[16] = calloc(FIELDS, sizeof(*names));

    words[0] = "XADD";
    words[1] = "weft:{q}";
    words[2] = "*";
    words[3] = "type";
    words[4] = "t";
    for (int i = 1; i < FIELDS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "f%d", i);
        words[3 + 2 * i] = names[i];
        words[4 + 2 * i] = names[i];
    }
    freeReplyObject(redisCommandArgv(queues->server.context, 3 + 2 * FIELDS, words, NULL));
    free(names);
    free(words);
}

/* ---- Waiting ---- */

static inline int64_t queues_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Runs the event loop until the condition holds; one that never holds fails the test. */
#define WAIT_UNTIL(queues, condition)                                                                                  \
    for (int64_t wait_start_ = queues_now_ms(); !(condition);) {                                                       \
        if (queues_now_ms() - wait_start_ > QUEUES_WAIT_MS)                                                            \
            fail_msg("waited in vain for: %s", #condition);                                                            \
        (void)event_base_loop((queues)->base, EVLOOP_ONCE);                                                            \
    }

/* Runs the event loop for a while. */
static inline void queues_run(struct queues *queues, int64_t ms)
{
    for (int64_t start = queues_now_ms(); queues_now_ms() - start < ms;)
        (void)event_base_loop(queues->base, EVLOOP_ONCE);
}

/* Whether Redis answers so. */
static inline bool queues_says(struct queues *queues, const char *command, const char *answer)
{
    return strcmp(redis_server_ask(&queues->server, command), answer) == 0;
}

static inline void queues_wait_for_jobs(struct queues *queues, size_t count)
{
    WAIT_UNTIL(queues, queues->job_count >= count);
}

/* ---- Settling ---- */

static inline void queues_settle(struct queues *queues, const struct settlement *settlement)
{
    assert_int_equal(queue_client_settle(queues->client, settlement), 0);
}

/* A job that ran from 2025-11-23T18:20:00.250Z on for 1.5 s. */
static inline struct settlement queues_ran(const struct job *job, enum job_outcome outcome)
{
    return (struct settlement){
        .job = job, .outcome = outcome, .started_ms = INT64_C(1763922000250), .duration_us = 1500000, .charged = true};
}

static inline void queues_settle_as(struct queues *queues, const struct job *job, enum job_outcome outcome)
{
    struct settlement settlement = queues_ran(job, outcome);

    queues_settle(queues, &settlement);
}

static inline void queues_do_job(struct queues *queues, struct job *job)
{
    struct settlement settlement = queues_ran(job, JOB_DONE);

    if (queue_client_settle(queues->client, &settlement) < 0)
        abort();
    (void)job_free(job);
}

/* Whether nothing is pending in the queue "q". */
static inline bool queues_settled(struct queues *queues)
{
    return strncmp(redis_server_ask(&queues->server, "XPENDING weft:{q} weft"), "[0 ", 3) == 0;
}
