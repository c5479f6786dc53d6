/*
 * Messages: the fields of a stream's entry, checked, and made into a job record. A message is untrusted input: whatever
 * it holds, it becomes either a job or a rejection that says in one sentence what is wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/job.h"
#include "context/macros.h"
#include "queue/message/rejection.h"

/* One field as Redis gave it: any bytes, no NUL at the end. A size of 0 allows NULL. */
struct message_field {
    const char *name;
    size_t name_size;
    const char *value;
    size_t value_size;
};

struct message_limits {
    int64_t payload_max;                              /* bytes */
    bool (*type_known)(const char *type, void *user); /* whether a type is configured; NULL: all are */
    void *user;
};

/* Reads the entry `entry_id` (as Redis gave it: `MS-SEQ`) of the queue `queue`. `now_ms` is Unix time; what is due by
 * then gets a `due_ms` of 0. Everything is borrowed for the call; the record is one block that owns all it points to.
 *
 * Gives 0 and the record, which is the caller's, to be given to job_free(). Errors: -EBADMSG, and `*ret_rejection` is
 * written; -ENOMEM. */
int message_parse(const char *queue, const char *entry_id, const struct message_field *fields, size_t count,
                  int64_t now_ms, const struct message_limits *limits, struct job **ret_job,
                  struct message_rejection *ret_rejection) MUST_CHECK;
