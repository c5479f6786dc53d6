/*
 * Cards: one for each job that exists in a worker, in memory that the supervisor shares. When the worker has crashed,
 * the supervisor settles its culprit from the card, and writes lines in the contexts of the jobs that it held.
 *
 * The worker writes cards and the supervisor reads them, trusting nothing: a process that crashes may have written
 * anywhere.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

#include "context/job.h"

#define CARD_SIZE      1024
#define CARD_TEXT_SIZE 960

enum card_state {
    CARD_FREE,
    CARD_RUNNING, /* waits for its start, or its chain runs */
    CARD_ENDED,   /* its outcome was told, and its context lives on in what it started */
};

/* What a job is called, at the beginning of the text in this order; an absent one has no bytes but its NUL. */
enum card_name {
    CARD_NAME_ID,
    CARD_NAME_TYPE,
    CARD_NAME_QUEUE,
    CARD_NAME_ROOT,
    CARD_NAME_TRACE,
    CARD_NAME_SPAN,
    CARD_NAME_ENTRY,
    CARD_NAMES,
};

/* What stands before each piece of metadata. */
struct card_field {
    uint16_t name_size;
    uint16_t size;
};

struct card {
    atomic_uintptr_t witness;        /* the job's identity, as witness_tell() leaves it */
    atomic_int_fast64_t deadline_us; /* when its time-out ends (CLOCK_MONOTONIC); 0: it has not started */
    atomic_int_fast64_t heard_us;    /* since when it has known that its time is over; 0: it cannot know yet */
    atomic_int_fast64_t started_ms;  /* Unix time; 0: it has not started */
    int64_t enqueued_ms;
    uint32_t attempt;
    uint32_t attempts; /* that it is allowed */
    uint16_t sizes[CARD_NAMES];
    uint16_t used; /* bytes of the text */

    /* The names, then the metadata: each a struct card_field, a name, a NUL, a value, a NUL. */
    char text[CARD_TEXT_SIZE];
};

_Static_assert(sizeof(struct card) == CARD_SIZE, "a card is as large as it says");

/* The cards of one worker, as each side sees them. The states are kept apart from the cards so that a free one is found
 * without going through all that memory. */
struct card_table {
    atomic_uchar *states; /* enum card_state */
    struct card *cards;
    size_t capacity;
    size_t last;          /* where a free one was found last */
    unsigned char *pages; /* of the cards: enum card_page; the worker's own business */
    size_t page_size;
};

/* Bytes of memory for so many cards. */
size_t card_table_size(size_t capacity);

/* `memory`: card_table_size() zeroed bytes, aligned as a page is, that outlive the table. Made before the fork, so that
 * the supervisor need not believe what it finds there later. */
void card_table_init(struct card_table *table, void *memory, size_t capacity);

/* ---- The worker's side ---- */

/* A card with what is known of the job, or NULL if none is free. On the loop's thread. */
struct card *card_take(struct card_table *table, const struct weft_job *job);

/* Gives back the memory of pages on which no card is in use, and none has been taken since the call before this one. On
 * the loop's thread, every second or so; costs a system call only after a peak. */
void card_table_trim(struct card_table *table);

/* Notes when the job started, and its deadline. The functions from here on do nothing for a NULL card. */
void card_start(struct card *card, const struct weft_job *job);

/* Notes since when (CLOCK_MONOTONIC) the job has known that its time is over: the loop has turned to it since, if it
 * was for the loop that it waited. 0: not yet. */
void card_hear(struct card *card, int64_t since_us);

/* The job's chain has ended and its outcome was told. */
void card_end(const struct card_table *table, const struct card *card);

/* The last frame of the job is gone. From any thread. */
void card_drop(const struct card_table *table, const struct card *card);

/* ---- The supervisor's side ---- */

/* The state of the card at `place`, which is below the capacity. */
enum card_state card_state(const struct card_table *table, size_t place);

/* The card in use that has this identity, or NULL; 0 has none. */
const struct card *card_find_witness(const struct card_table *table, uintptr_t witness);

/* What a card says. */
struct card_job {
    struct job
        job; /* borrows from `text`; no payload, no metadata; `attempts` is what it is allowed, whoever said so */
    int64_t started_ms;  /* Unix time; 0: it has not started */
    int64_t deadline_us; /* CLOCK_MONOTONIC; 0: it has not started */
    char text[CARD_TEXT_SIZE];
};

/* Reads a card into `ret_job`, which must then stay where it is. Errors: -EBADMSG what is there is not a card that was
 * written as a whole. */
int card_read_job(const struct card *card, struct card_job *ret_job) WEFT_MUST_CHECK;

/* Rebuilds the context that the job started with, for the lines about it: weft's own values, `handler` and `task` (NULL
 * or empty: none) among them, and as much of the metadata as the card had room for. Errors: -EBADMSG as above; -ENOMEM.
 */
int card_read_context(const struct card *card, const char *handler, const char *task,
                      struct weft_context **ret_context) WEFT_MUST_CHECK;
