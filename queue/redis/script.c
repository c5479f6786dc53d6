#include "queue/redis/script.h"

void script_call_start(struct command *command, const struct queue_script *script, bool with_source, size_t queues)
{
    call_start_keys(command, script, with_source, queues * QUEUE_KEY_COUNT);
}

void call_start_keys(struct command *command, const struct queue_script *script, bool with_source, size_t keys)
{
    if (with_source)
        command_start(command, "EVAL", script->source, NULL);
    else
        command_start(command, "EVALSHA", script->sha, NULL);
    command_add_number(command, (int64_t)keys);
}

void script_call_add_keys(struct command *command, const struct queue_keys *keys)
{
    for (size_t i = 0; i < QUEUE_KEY_COUNT; i++)
        command_add(command, keys->names[i], keys->sizes[i]);
}
