#include "queue/consumer/fetch_command.h"

static void start(struct command *command, const char *consumer, unsigned count)
{
    command_start(command, "XREADGROUP", "GROUP", QUEUE_GROUP, consumer, "COUNT", NULL);
    command_add_number(command, count);
}

void fetch_command_write(struct command *command, const char *consumer, const struct queue_keys *keys, unsigned count)
{
    start(command, consumer, count);
    command_add_text(command, "STREAMS");
    command_add_text(command, keys->names[QUEUE_KEY_STREAM]);
    command_add_text(command, ">");
}

void reading_write_together(struct command *command, const char *consumer, const struct queue_keys *keys,
                            size_t queue_count, const struct read_scheduler *scheduler, int64_t wait_ms)
{
    start(command, consumer, read_scheduler_each(scheduler));
    if (wait_ms > 0) {
        command_add_text(command, "BLOCK");
        command_add_number(command, wait_ms);
    }
    command_add_text(command, "STREAMS");
    for (size_t i = 0; i < queue_count; i++)
        if (read_scheduler_is_chosen(scheduler, i))
            command_add_text(command, keys[i].names[QUEUE_KEY_STREAM]);
    for (size_t i = 0; i < read_scheduler_chosen(scheduler); i++)
        command_add_text(command, ">");
}

void fetch_report_unreadable(struct health_subject *health, const struct queue_keys *keys, const redisReply *reply)
{
    if (reply_is_error(reply, "WRONGTYPE"))
        health_set_problem(
            health,
            "does not let us read queue %s: the key %s holds something other than a stream; the queue works "
            "again once that key is removed",
            keys->queue, keys->names[QUEUE_KEY_STREAM]);
    else
        health_set_problem(health, "does not let us read queue %s: %s", keys->queue, reply->str);
}
