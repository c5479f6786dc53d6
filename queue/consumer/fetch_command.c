#include "queue/consumer/fetch_command.h"

static void start(struct words *words, const char *consumer, unsigned count)
{
    words_start(words, "XREADGROUP", "GROUP", QUEUE_GROUP, consumer, "COUNT", NULL);
    words_add_number(words, count);
}

void reading_write(struct words *words, const char *consumer, const struct queue_keys *keys, unsigned count)
{
    start(words, consumer, count);
    words_add_text(words, "STREAMS");
    words_add_text(words, keys->names[QUEUE_KEY_STREAM]);
    words_add_text(words, ">");
}

void reading_write_together(struct words *words, const char *consumer, const struct queue_keys *keys,
                            size_t queue_count, const struct roster *roster, int64_t wait_ms)
{
    start(words, consumer, roster_each(roster));
    if (wait_ms > 0) {
        words_add_text(words, "BLOCK");
        words_add_number(words, wait_ms);
    }
    words_add_text(words, "STREAMS");
    for (size_t i = 0; i < queue_count; i++)
        if (roster_is_chosen(roster, i))
            words_add_text(words, keys[i].names[QUEUE_KEY_STREAM]);
    for (size_t i = 0; i < roster_chosen(roster); i++)
        words_add_text(words, ">");
}

void reading_report(struct trouble_subject *trouble, const struct queue_keys *keys, const redisReply *reply)
{
    if (reply_is_error(reply, "WRONGTYPE"))
        trouble_begin(trouble,
                      "does not let us read queue %s: the key %s holds something other than a stream; the queue works "
                      "again once that key is removed",
                      keys->queue, keys->names[QUEUE_KEY_STREAM]);
    else
        trouble_begin(trouble, "does not let us read queue %s: %s", keys->queue, reply->str);
}
