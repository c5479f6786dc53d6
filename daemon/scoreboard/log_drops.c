#include "daemon/scoreboard/log_drops.h"

#include <string.h>

static const char *const keys[] = {
    [LOG_DROP_ID] = "job_id",       [LOG_DROP_TYPE] = "type",       [LOG_DROP_QUEUE] = "queue",
    [LOG_DROP_ATTEMPT] = "attempt", [LOG_DROP_ROOT_ID] = "root_id",
};

static void copy_values(struct log_drop *drop, const struct log_record *record)
{
    for (size_t i = 0; i < record->label_count; i++) {
        const struct log_value *label = &record->labels[i];

        for (int at = 0; at < LOG_DROP_VALUES; at++)
            if (strcmp(label->key, keys[at]) == 0 && label->size < sizeof(drop->values[at]))
                memcpy(drop->values[at], label->text, label->size);
    }
}

void log_drops_add(struct log_drops *drops, const struct log_record *record)
{
    struct log_drop drop = {.lines = 1};

    drops->lines++;
    copy_values(&drop, record);
    if (!drop.values[LOG_DROP_ID][0])
        return;
    for (size_t i = 0; i < drops->count && i < LOG_DROPS_MAX; i++) {
        if (memcmp(drops->drops[i].values, drop.values, sizeof(drop.values)) == 0) {
            drops->drops[i].lines++;
            return;
        }
    }
    if (drops->count < LOG_DROPS_MAX)
        drops->drops[drops->count++] = drop;
    else
        drops->others++;
}

void log_drops_clear(struct log_drops *drops)
{
    drops->count = 0;
    drops->lines = 0;
    drops->others = 0;
}

void log_drops_take(struct log_drops *drops, struct log_drops *ret_drops)
{
    *ret_drops = *drops;
    if (ret_drops->count > LOG_DROPS_MAX)
        ret_drops->count = 0;
    for (size_t i = 0; i < ret_drops->count; i++)
        for (int at = 0; at < LOG_DROP_VALUES; at++)
            ret_drops->drops[i].values[at][sizeof(ret_drops->drops[i].values[at]) - 1] = '\0';
    log_drops_clear(drops);
}
