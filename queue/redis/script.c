#include "queue/redis/script.h"

void call_start(struct words *words, const struct queue_script *script, bool with_source, size_t queues)
{
    call_start_keys(words, script, with_source, queues * QUEUE_KEY_COUNT);
}

void call_start_keys(struct words *words, const struct queue_script *script, bool with_source, size_t keys)
{
    if (with_source)
        words_start(words, "EVAL", script->source, NULL);
    else
        words_start(words, "EVALSHA", script->sha, NULL);
    words_add_number(words, (int64_t)keys);
}

void call_add_keys(struct words *words, const struct queue_keys *keys)
{
    for (size_t i = 0; i < QUEUE_KEY_COUNT; i++)
        words_add(words, keys->names[i], keys->sizes[i]);
}
