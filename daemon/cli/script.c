#include "daemon/cli/script.h"

#include "daemon/cli/problem.h"
#include "queue/redis/script.h"

redisReply *script_call(struct session *session, int type, const struct queue_script *script,
                        const struct queue_keys *keys, const char *const *arguments, size_t count)
{
    struct words words = {0};
    redisReply *reply = NULL;

    call_start(&words, script, true, 1);
    call_add_keys(&words, keys);
    for (size_t i = 0; i < count; i++)
        words_add_text(&words, arguments[i]);
    if (words.failed)
        (void)problem_report_memory();
    else
        reply = session_ask_words(session, type, (int)words.count, words.bytes, words.sizes);
    words_done(&words);
    return reply;
}
