/*
 * Crashes: what a worker leaves in shared memory when one of the handlers that it runs brings it down, so that the
 * supervisor can say which job that was, and where.
 *
 * The record is written by a signal handler, in a process about which nothing is certain any more, and read by the
 * supervisor when the process is gone.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/api.h>

#include "daemon/crash/module_map.h"

#define CRASH_FRAMES_MAX 64
#define CRASH_NAME_SIZE  129
#define CRASH_LINKS_MAX  16
#define CRASH_LINK_SIZE  32

enum crash_kind {
    CRASH_SIGNAL, /* a signal that a handler brought on, or was sent */
    CRASH_EXIT,   /* exit() was called before crash_note_clean_end() */
};

/* How an operation was begun that led to the crash: its kind, its name if it has one, and where the call returned to.
 */
struct crash_link {
    uintptr_t place; /* 0: not known */
    char kind[CRASH_LINK_SIZE];
    char name[CRASH_LINK_SIZE];
};

/* What happened. Plain numbers, since their reader does not trust them. */
struct crash {
    int32_t kind; /* enum crash_kind */
    int32_t signal;
    int32_t code; /* si_code */
    pid_t sender; /* who sent the signal; 0: the kernel did */
    pid_t process;
    pid_t thread;
    int32_t exit_status;
    uint32_t overflow;             /* bytes of the fiber's stack that was used up; 0: none was */
    uintptr_t address;             /* what was touched */
    uintptr_t culprit;             /* the job's identity, as on its job slot; 0: no job's code was running */
    char handler[CRASH_NAME_SIZE]; /* empty: none */
    char task[CRASH_NAME_SIZE];    /* the subtask's name; empty: none */
    uint32_t frame_count;
    uint32_t exact_first;               /* the first frame is where it happened, not where a call returns to */
    uintptr_t frames[CRASH_FRAMES_MAX]; /* innermost first */
    uint32_t link_count;
    struct crash_link links[CRASH_LINKS_MAX]; /* the operation whose code was running first, then what began it */
    struct module_map modules;
};

/* In memory that is shared, and all zero at first. */
struct crash_record {
    atomic_int state;             /* inner matter */
    atomic_uintptr_t running_job; /* the identity of the job whose code the loop's thread is running */
    atomic_uintptr_t turns; /* changes whenever the code of a job gives the thread back: see running_job_count() */
    struct crash crash;
};

/* ---- The worker's side ---- */

/* On the loop's thread, once, before the first job: catches the signals that a process brings on itself, and exit().
 * From then on a death is noted in `record`, which must stay mapped as long as the process lives; what was to happen
 * happens then (a core dump, a sanitizer's report). Processes that are forked from this one note nothing. Errors:
 * -ENOMEM, and then nothing is caught. */
int crash_install(struct crash_record *record) WEFT_MUST_CHECK;

/* When the plugins are loaded: notes where their code lies. */
void crash_note_modules(struct crash_record *record);

/* The process is about to exit, as it should. */
void crash_note_clean_end(void);
