#include "queue/consumer/delivery_receiver.h"

/* A record that does not fit into memory stays pending in Redis, and is found again like one that got lost. */
static void ignore_shortage(int r)
{
    (void)r;
}

static void settle_unrun(struct delivery_receiver *receiver, struct job *job, size_t queue, enum job_outcome outcome)
{
    struct settlement settlement = {.job = job, .outcome = outcome, .due_ms = job->due_ms};

    settlement.error = outcome == JOB_CANCELLED ? "cancelled" : NULL;
    ignore_shortage(settle_add(receiver->settle, queue, &settlement));
    job_free(job);
}

static bool on_job(struct job *job, size_t queue, void *user)
{
    struct delivery_receiver *receiver = user;

    if (cancel_has(receiver->cancel, queue, job)) {
        receiver->events->discarded(job, receiver->user);
        settle_unrun(receiver, job, queue, JOB_CANCELLED);
        return false;
    }
    if (job->due_ms > 0) {
        settle_unrun(receiver, job, queue, JOB_DELAYED);
        return false;
    }
    if (receiver->closed) {
        settle_unrun(receiver, job, queue, JOB_RETURNED);
        return false;
    }
    receiver->handed_over++;
    receiver->events->job(job, receiver->user);
    return true;
}

static void on_rejected(const char *entry, const struct message_rejection *rejection, size_t queue, void *user)
{
    struct delivery_receiver *receiver = user;
    struct queue_rejection event = {
        .id = rejection->id,
        .type = rejection->type[0] ? rejection->type : NULL,
        .queue = receiver->options->queues[queue].name,
        .reason = rejection->reason,
    };

    ignore_shortage(settle_reject(receiver->settle, queue, entry, rejection));
    receiver->events->rejected(&event, receiver->user);
}

static void on_vanished(const char *entry, size_t queue, void *user)
{
    struct delivery_receiver *receiver = user;

    ignore_shortage(settle_forget(receiver->settle, queue, entry));
}

const struct delivery_events delivery_receiver_events = {on_job, on_rejected, on_vanished};
