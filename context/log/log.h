/*
 * The logger behind <weft/log.h>: collects what a line is about from the current context and hands one record to the
 * sink.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/log.h>

/* One label: a value of the context that is shown on each line that has it. */
struct log_label {
    const char *key;    /* as the line shows it */
    const char *name;   /* as the context knows it */
    bool integer;       /* shown without quotes in JSON */
    const char *unless; /* not shown when the value equals that of this name; may be NULL */
};

/* One line on its way out. Everything is borrowed for the call. */
struct log_value {
    const char *key;
    const char *text;
    size_t size;
    bool integer;
};

#define LOG_LABELS_MAX  16
#define LOG_CONTEXT_MAX 128

struct log_record {
    int64_t time_us; /* Unix time */
    enum weft_level level;
    const char *message;
    size_t message_size;
    const struct log_value *labels; /* in the order of log_configure(); those that are absent are left out */
    size_t label_count;
    bool has_first_label; /* labels[0] is the first that was configured: what the line is about */
    const char *node;     /* may be NULL */
    int pid;
    const struct log_value *context; /* what `fields` selects; shown under `ctx` */
    size_t context_count;
    const struct weft_field *fields; /* the line's own; shown under `data` */
    size_t field_count;
};

/* Takes a record; called with a lock held, from any thread; must not log. */
typedef void log_sink(const struct log_record *record, void *user);

struct log_options {
    enum weft_level level; /* lines below are dropped */
    const struct log_label *labels;
    size_t label_count;
    const char *node;
    const char *const *fields; /* names of context values shown under `ctx`; "*" for all but weft's own */
    size_t field_count;
    log_sink *sink; /* NULL: text lines on stderr */
    void *user;
};

/* Replaces the logger's set-up; the options' contents must stay valid. Not while other threads log. */
void log_configure(const struct log_options *options);

/* Whether lines of a level are written: for those that are costly to prepare. */
bool log_takes(enum weft_level level);

/* For sinks that keep whoever logs: notes how long, in microseconds, that was. Whoever reckons how long something has
 * taken can then leave it out: log_waited_us() is the sum, of all threads of the process. */
void log_note_wait(int64_t time_us);
int64_t log_waited_us(void);

const char *log_level_name(enum weft_level level); /* "debug", "info", "warn", "error" */

/* Every line fits in so many bytes; long values are cut. */
#define LOG_LINE_MAX (512 * 1024)
