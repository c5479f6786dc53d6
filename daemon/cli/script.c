#include "daemon/cli/script.h"

#include "daemon/cli/problem.h"
#include "queue/redis/call.h"

redisReply *script_call(struct session *session, int type, const struct queue_script *script,
                        const struct queue_keys *keys, const char *const *arguments, size_t count)
{
    struct command command = {0};
    redisReply *reply = NULL;

    command_start_script(&command, script, QUEUE_KEY_COUNT);
    command_add_queue(&command, keys);
    for (size_t i = 0; i < count; i++)
        command_add_text(&command, arguments[i]);
    if (command.failed)
        (void)problem_report_memory();
    else
        reply = session_ask_words(session, type, (int)command.count, command.bytes, command.sizes);
    command_done(&command);
    return reply;
}
