/*
 * The scripts that run inside Redis. They are files in queue/scripts/, made into constants at build time.
 */
#pragma once

#include <stddef.h>

struct queue_script {
    const char *name;
    const char *sha; /* as EVALSHA wants it: the SHA-1 of the source in hexadecimal digits */
    const char *source;
};

extern const struct queue_script queue_script_settle;
extern const struct queue_script queue_script_promote;
extern const struct queue_script queue_script_reclaim;
extern const struct queue_script queue_script_enlist;
extern const struct queue_script queue_script_roll;
extern const struct queue_script queue_script_lost;
extern const struct queue_script queue_script_release;
extern const struct queue_script queue_script_cancel;
extern const struct queue_script queue_script_revive;
extern const struct queue_script queue_script_erase;
extern const struct queue_script queue_script_inquire;
extern const struct queue_script queue_script_answer;
extern const struct queue_script queue_script_group;
extern const struct queue_script queue_script_holdings;
extern const struct queue_script queue_script_sample;
extern const struct queue_script queue_script_hasten;
extern const struct queue_script queue_script_enqueue;
extern const struct queue_script queue_script_hold;
extern const struct queue_script queue_script_unread;
