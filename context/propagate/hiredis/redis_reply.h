/*
 * Replies of hiredis, as far as they tell what becomes of a subscription.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "context/propagate/hiredis/redis_command.h"

enum redis_notice_kind { REDIS_NOTICE_OTHER, REDIS_NOTICE_SUBSCRIBED, REDIS_NOTICE_UNSUBSCRIBED };

struct redis_notice {
    enum redis_notice_kind kind;
    bool is_pattern;
    struct redis_word channel; /* borrowed from the reply */
};

/* Reads a reply that hiredis has found to be a subscription's. NULL is none. */
struct redis_notice redis_notice_read(const void *reply);
