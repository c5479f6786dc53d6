#include "daemon/cli/ps_answer.h"

#include <errno.h>
#include <string.h>

#include "daemon/cli/holder.h"
#include "daemon/cli/print.h"
#include "queue/consumer_name.h"

/* ---- Of those that answer ---- */

int ps_answer_read(const char *bytes, size_t size, json_t *jobs, int64_t *ret_left_out)
{
    json_t *answer = json_loadb(bytes, size, 0, NULL);
    const json_t *told = json_object_get(answer, "jobs");
    int r = json_is_array(told) && json_is_string(json_object_get(answer, "node")) &&
                    json_is_integer(json_object_get(answer, "pid"))
                ? 0
                : -EBADMSG;

    for (size_t i = 0; i < json_array_size(told) && r == 0; i++) {
        json_t *job = json_array_get(told, i);

        /* The worker's words come first in each object. */
        if (!json_is_object(job))
            r = -EBADMSG;
        else if (json_object_set(job, "node", json_object_get(answer, "node")) < 0 ||
                 json_object_set(job, "pid", json_object_get(answer, "pid")) < 0 || json_array_append(jobs, job) < 0)
            r = -ENOMEM;
    }
    if (r == 0)
        *ret_left_out = json_integer_value(json_object_get(answer, "left_out"));
    json_decref(answer);
    return r;
}

/* ---- Of those that do not ---- */

/* A job as holdings.lua has it. */
enum { HELD_ID, HELD_TYPE, HELD_ATTEMPT, HELD_FOR, HELD_VALUES };

static json_t *make_job(const struct ps_silence *silence, redisReply *const *held)
{
    struct consumer_identity identity = {.node_size = strlen(silence->consumer)};
    const redisReply *id = held[HELD_ID], *type = held[HELD_TYPE];

    if (!consumer_read(silence->consumer, &identity))
        identity.worker = 0;
    return json_pack("{s:o, s:o, s:s, s:s, s:I, s:I, s:o, s:i, s:I}", "id", print_make_json(id->str, (size_t)id->len),
                     "type", print_make_json(type->str, (size_t)type->len), "queue", silence->queue, "state",
                     silence->gone ? PS_GONE : PS_UNANSWERED, "attempt", (json_int_t)held[HELD_ATTEMPT]->integer,
                     "for_ms", (json_int_t)held[HELD_FOR]->integer, "node",
                     print_make_json(silence->consumer, identity.node_size), "pid", (int)identity.worker, "silent_ms",
                     (json_int_t)silence->silent_ms);
}

int ps_answer_substitute(struct ps_silence *silence, const redisReply *reply, json_t *jobs)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_ARRAY || !reply->element[2]->str)
        return -EBADMSG;
    silence->silent_ms = reply->element[0]->integer;
    silence->gone = holder_is_gone(silence->consumer, silence->silent_ms, silence->lease_ms);
    for (size_t i = 0; i < reply->element[1]->elements; i++) {
        const redisReply *held = reply->element[1]->element[i];

        if (held->type != REDIS_REPLY_ARRAY || held->elements != HELD_VALUES || !held->element[HELD_ID]->str ||
            !held->element[HELD_TYPE]->str || held->element[HELD_ATTEMPT]->type != REDIS_REPLY_INTEGER ||
            held->element[HELD_FOR]->type != REDIS_REPLY_INTEGER)
            return -EBADMSG;
        const redisReply *id = held->element[HELD_ID];

        if (silence->id &&
            ((size_t)id->len != strlen(silence->id) || memcmp(id->str, silence->id, (size_t)id->len) != 0))
            continue;
        if (json_array_append_new(jobs, make_job(silence, held->element)) < 0)
            return -ENOMEM;
    }
    return 0;
}
