#include "daemon/cli/holder.h"

#include <string.h>

#include "queue/consumer_name.h"
#include "queue/lease.h"

bool holder_is_gone(const char *consumer, int64_t silent_ms, int64_t lease_ms)
{
    switch (consumer_look(consumer, consumer_host())) {
    case CONSUMER_ALIVE:
        return false;
    case CONSUMER_DEAD:
        return true;
    case CONSUMER_ELSEWHERE:
        break;
    }
    return silent_ms > LEASE_SILENCE_MS(lease_ms);
}

redisReply *holders_ask(struct session *session, const char *stream, size_t size)
{
    return session_ask_or(session, REDIS_REPLY_ARRAY, "", "XINFO CONSUMERS %b " QUEUE_GROUP, stream, size);
}

bool holder_read(const struct session *session, const redisReply *reply, size_t index, struct holder *ret_holder)
{
    if (reply->type != REDIS_REPLY_ARRAY || index >= reply->elements)
        return false;
    const redisReply *row = reply->element[index];
    struct holder holder = {0};
    int64_t silent_ms = 0;

    for (size_t i = 0; row->type == REDIS_REPLY_ARRAY && i + 1 < row->elements; i += 2) {
        const redisReply *name = row->element[i], *value = row->element[i + 1];

        if (!name->str)
            continue;
        if (strcmp(name->str, "name") == 0)
            holder.consumer = value->str;
        else if (strcmp(name->str, "pending") == 0)
            holder.jobs = value->integer;
        else if (strcmp(name->str, "idle") == 0)
            silent_ms = value->integer;
    }
    holder.gone =
        holder.consumer && holder_is_gone(holder.consumer, silent_ms, session->config->queue_options.lease_ms);
    *ret_holder = holder;
    return true;
}
