#include "queue/consumer/delivery_receiver.h"

/* A record that does not fit into memory stays pending in Redis, and is found again like one that got lost. */
static void ignore_shortage(int r)
{
    (void)r;
}

static void settle_unrun(struct intake *intake, struct job *job, size_t queue, enum job_outcome outcome)
{
    struct settlement settlement = {.job = job, .outcome = outcome, .due_ms = job->due_ms};

    settlement.error = outcome == JOB_CANCELLED ? "cancelled" : NULL;
    ignore_shortage(settle_add(intake->settle, queue, &settlement));
    job_free(job);
}

static bool on_job(struct job *job, size_t queue, void *user)
{
    struct intake *intake = user;

    if (cancel_has(intake->cancel, queue, job)) {
        intake->events->discarded(job, intake->user);
        settle_unrun(intake, job, queue, JOB_CANCELLED);
        return false;
    }
    if (job->due_ms > 0) {
        settle_unrun(intake, job, queue, JOB_DELAYED);
        return false;
    }
    if (intake->closed) {
        settle_unrun(intake, job, queue, JOB_RETURNED);
        return false;
    }
    intake->handed_over++;
    intake->events->job(job, intake->user);
    return true;
}

static void on_refused(const char *entry, const struct message_refusal *refusal, size_t queue, void *user)
{
    struct intake *intake = user;
    struct queue_rejection rejection = {
        .id = refusal->id,
        .type = refusal->type[0] ? refusal->type : NULL,
        .queue = intake->options->queues[queue].name,
        .reason = refusal->reason,
    };

    ignore_shortage(settle_refuse(intake->settle, queue, entry, refusal));
    intake->events->rejected(&rejection, intake->user);
}

static void on_vanished(const char *entry, size_t queue, void *user)
{
    struct intake *intake = user;

    ignore_shortage(settle_forget(intake->settle, queue, entry));
}

const struct arrival_events intake_arrivals = {on_job, on_refused, on_vanished};
