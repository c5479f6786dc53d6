/*
 * The words of XREADGROUP, by which a consumer is given new jobs, and what is said where Redis refuses them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "queue/consumer/read_scheduler.h"
#include "queue/keys.h"
#include "queue/redis/command.h"
#include "queue/redis/health.h"
#include "queue/redis/reply.h"

/* Reads at most `count` jobs of one queue, without waiting. */
void fetch_command_write(struct command *command, const char *consumer, const struct queue_keys *keys, unsigned count);

/* Reads all queues that the scheduler's last plan has chosen together. `wait_ms` above 0: waits for so long for the
 * first job of any of them. */
void reading_write_together(struct command *command, const char *consumer, const struct queue_keys *keys,
                            size_t queue_count, const struct read_scheduler *scheduler, int64_t wait_ms);

/* Says why a queue cannot be read, from an error's reply. */
void fetch_report_unreadable(struct health_subject *health, const struct queue_keys *keys, const redisReply *reply);
