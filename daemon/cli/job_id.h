/*
 * Job IDs, on the command line and in the entries of a stream.
 */
#pragma once

#include <stdbool.h>

#include "context/macros.h"
#include "daemon/cli/stream.h"

/* Gives EX_OK, or EX_USAGE and has reported that `id` is none. `command` is the command's name. */
int job_id_check(const char *command, const char *id) MUST_CHECK;

/* Whether the entry is the job's, as the worker sees it: by what weft has written on a retry, by what the sender wants,
 * or by the entry's own ID. */
bool job_id_is_of(const char *id, const struct stream_entry *entry);

#define JOB_ENTRY_SIZE 48

struct job_search {
    const char *id;
    char entry[JOB_ENTRY_SIZE]; /* the ID of the entry; "": none has been found */
};

/* For stream_walk(), whose `user` is the struct job_search: ends at the first entry of the job, and notes its ID. */
bool job_search_visit(const struct stream_entry *entry, void *user);
