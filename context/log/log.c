#include "context/log/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft/context.h>

#include "context/lock.h"
#include "context/log/log_line.h"
#include "context/log/log_text.h"
#include "context/name.h"
#include "context/time.h"
#include "context/utf8.h"

/* A message up to this size costs little stack; only a longer one is formatted once more. */
#define MESSAGE_SIZE_SMALL 1024
#define MESSAGE_SIZE_MAX   8192

static void write_to_stderr(const struct log_record *record, void *user);

/* The process has one log. `lock` guards calls of the sink; the rest changes only in log_configure(), except for the
 * process ID, which changes in a child that has no other thread yet. */
static struct {
    _Atomic enum weft_level level;
    pthread_once_t once;
    pthread_mutex_t lock;
    int pid;
    struct log_options options;
    bool configured;                     /* by log_configure() */
    struct log_label label;              /* of weft_log_label() */
    const char *fields[LOG_CONTEXT_MAX]; /* names, each once */
    size_t field_count;
    bool all_fields;
} logger = {
    .level = WEFT_INFO,
    .once = PTHREAD_ONCE_INIT,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .options.sink = write_to_stderr,
};

/* Whether this thread is writing a line: what is logged by those who take part in that is dropped, since it would wait
 * for a lock that its own thread holds. */
static _Thread_local bool is_logging;

const char *log_level_name(enum weft_level level)
{
    static const char *const names[] = {
        [WEFT_DEBUG] = "debug", [WEFT_INFO] = "info", [WEFT_WARN] = "warn", [WEFT_ERROR] = "error"};

    return names[(unsigned)level > WEFT_ERROR ? WEFT_ERROR : level];
}

/* ---- Waiting ---- */

static _Atomic int64_t waited_us;

void log_note_wait(int64_t time_us)
{
    atomic_fetch_add_explicit(&waited_us, time_us, memory_order_relaxed);
}

int64_t log_waited_us(void)
{
    return atomic_load_explicit(&waited_us, memory_order_relaxed);
}

/* ---- Set-up ---- */

static bool field_is_known(const char *name)
{
    for (size_t i = 0; i < logger.field_count; i++) {
        if (strcmp(logger.fields[i], name) == 0)
            return true;
    }
    return false;
}

void log_configure(const struct log_options *options)
{
    logger.options = *options;
    if (!logger.options.sink)
        logger.options.sink = write_to_stderr;
    if (logger.options.label_count > LOG_LABELS_MAX)
        logger.options.label_count = LOG_LABELS_MAX;
    logger.all_fields = false;
    logger.field_count = 0;
    for (size_t i = 0; i < options->field_count; i++) {
        if (strcmp(options->fields[i], "*") == 0)
            logger.all_fields = true;
        else if (logger.field_count < LOG_CONTEXT_MAX && !field_is_known(options->fields[i]))
            logger.fields[logger.field_count++] = options->fields[i];
    }
    logger.configured = true;
    atomic_store_explicit(&logger.level, options->level, memory_order_relaxed);
}

void weft_log_label(const char *name)
{
    if (logger.configured)
        return;
    logger.label = (struct log_label){.key = name, .name = name};
    logger.options.labels = &logger.label;
    logger.options.label_count = name ? 1 : 0;
}

/* ---- Forks ---- */

/* The lock is held across a fork, so that the child does not inherit it from a thread that it does not have. A sink
 * that forks holds it already. */
static void before_fork(void)
{
    if (!is_logging)
        lock_take(&logger.lock);
}

static void after_fork_in_parent(void)
{
    if (!is_logging)
        lock_give(&logger.lock);
}

static void after_fork_in_child(void)
{
    logger.pid = getpid();
    after_fork_in_parent();
}

static void start_once(void)
{
    logger.pid = getpid();
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- What a line is about ---- */

static void collect_labels(struct log_record *record, struct log_value labels[static LOG_LABELS_MAX])
{
    record->labels = labels;
    for (size_t i = 0; i < logger.options.label_count; i++) {
        const struct log_label *label = &logger.options.labels[i];
        size_t size;
        const char *text = weft_get_bytes(label->name, &size);

        if (!text)
            continue;
        size_t other_size;
        const void *other = label->unless ? weft_get_bytes(label->unless, &other_size) : NULL;
        if (other && other_size == size && memcmp(other, text, size) == 0)
            continue;
        record->has_first_label = record->has_first_label || i == 0;
        labels[record->label_count++] =
            (struct log_value){.key = label->key, .text = text, .size = size, .integer = label->integer};
    }
}

struct context_values {
    struct log_value values[LOG_CONTEXT_MAX];
    size_t count;
};

/* Gives 1 when there is no room for another. */
static int add_context_value(struct context_values *context, const char *name, const char *text, size_t size)
{
    context->values[context->count++] = (struct log_value){.key = name, .text = text, .size = size};
    return context->count == LOG_CONTEXT_MAX;
}

static int visit_context_value(const char *name, const char *value, size_t size, void *arg)
{
    if (name_is_own(name, strlen(name)))
        return 0;
    return add_context_value(arg, name, value, size);
}

static void collect_context(struct log_record *record, struct context_values *context)
{
    context->count = 0;
    if (logger.all_fields)
        (void)weft_each(visit_context_value, context);
    for (size_t i = 0; i < logger.field_count && context->count < LOG_CONTEXT_MAX; i++) {
        size_t size;
        const char *name = logger.fields[i];
        /* Of names that are listed beside "*", only weft's own are not there yet. */
        bool present = logger.all_fields && !name_is_own(name, strlen(name));
        const char *text = present ? NULL : weft_get_bytes(name, &size);

        if (text)
            (void)add_context_value(context, name, text, size);
    }
    record->context = context->values;
    record->context_count = context->count;
}

/* ---- Lines ---- */

/* Completes the record with everything that is not the caller's, and hands it to the sink. */
static void write_record(struct log_record *record)
{
    /* Not on the stack, which may be a fiber's, and would need a page more for it in each job: a thread writes one line
     * at a time. */
    static _Thread_local struct context_values context;
    struct log_value labels[LOG_LABELS_MAX];

    (void)pthread_once(&logger.once, start_once);
    record->time_us = time_unix_us();
    record->node = logger.options.node;
    record->pid = logger.pid;
    collect_labels(record, labels);
    collect_context(record, &context);

    lock_take(&logger.lock);
    logger.options.sink(record, logger.options.user);
    lock_give(&logger.lock);
}

static void write_message(enum weft_level level, const char *message, size_t size)
{
    struct log_record record = {.level = level, .message = message, .message_size = size};

    write_record(&record);
}

/* Ends a message that does not fit, at the end of a character; gives its size. `message` holds MESSAGE_SIZE_MAX bytes
 * of it, and has room for a NUL. */
static size_t cut_message(char message[static MESSAGE_SIZE_MAX + 1])
{
    size_t mark_size = strlen(LOG_CUT_MARK);
    size_t size = utf8_cut(message, MESSAGE_SIZE_MAX, MESSAGE_SIZE_MAX - mark_size);

    memcpy(message + size, LOG_CUT_MARK, mark_size + 1);
    return size + mark_size;
}

/* Not inlined, so that only lines that need them have these 8 KiB on their stack, which may be a fiber's. */
__attribute__((noinline)) static WEFT_PRINTF(2, 0) void write_long_message(enum weft_level level, const char *format,
                                                                           va_list args)
{
    char message[MESSAGE_SIZE_MAX + 1];
    int length = vsnprintf(message, sizeof(message), format, args);

    if (length < 0)
        return;
    write_message(level, message, length > MESSAGE_SIZE_MAX ? cut_message(message) : (size_t)length);
}

static WEFT_PRINTF(2, 0) void format_message(enum weft_level level, const char *format, va_list args)
{
    char message[MESSAGE_SIZE_SMALL];
    int saved_errno = errno;
    va_list again;

    va_copy(again, args);
    int length = vsnprintf(message, sizeof(message), format, args);
    if (length < 0) {
        /* A line that cannot be formatted, because it is to have more than 2 GiB, say, is shown by its format. */
        write_message(level, format, strnlen(format, MESSAGE_SIZE_SMALL));
    } else if ((size_t)length < sizeof(message)) {
        write_message(level, message, (size_t)length);
    } else {
        errno = saved_errno; /* for %m */
        write_long_message(level, format, again);
    }
    va_end(again);
}

bool log_takes(enum weft_level level)
{
    return level >= atomic_load_explicit(&logger.level, memory_order_relaxed);
}

/* The sink, or what it calls, may log: that is dropped. */
static bool may_log(enum weft_level level)
{
    return log_takes(level) && !is_logging;
}

void weft_logv(enum weft_level level, const char *format, va_list args)
{
    if (!may_log(level))
        return;

    int saved_errno = errno;
    /* A sink writes, which would be the end of a thread that is being cancelled, in the middle of a line. */
    uncancellable_begin();
    is_logging = true;
    format_message(level, format, args);
    is_logging = false;
    uncancellable_end();
    errno = saved_errno;
}

void weft_log(enum weft_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    weft_logv(level, format, args);
    va_end(args);
}

/* As write_long_message(). */
__attribute__((noinline)) static void write_cut_record(struct log_record *record)
{
    char message[MESSAGE_SIZE_MAX + 1];

    memcpy(message, record->message, MESSAGE_SIZE_MAX);
    record->message_size = cut_message(message);
    record->message = message;
    write_record(record);
}

void weft_log_fields(enum weft_level level, const char *message, const struct weft_field *fields, size_t count)
{
    if (!may_log(level))
        return;

    int saved_errno = errno;
    struct log_record record = {
        .level = level,
        .message = message ? message : "",
        .message_size = message ? strnlen(message, MESSAGE_SIZE_MAX + 1) : 0,
        .fields = fields,
        .field_count = count,
    };
    uncancellable_begin();
    is_logging = true;
    if (record.message_size > MESSAGE_SIZE_MAX)
        write_cut_record(&record);
    else
        write_record(&record);
    is_logging = false;
    uncancellable_end();
    errno = saved_errno;
}

/* ---- Without a sink ---- */

/* The buffer needs no lock of its own: sinks are called with one held. Untouched pages of it cost nothing. */
static void write_to_stderr(const struct log_record *record, void *user)
{
    static char buffer[LOG_LINE_MAX];
    size_t size = log_format_text(record, false, buffer, sizeof(buffer));

    (void)user;
    for (size_t at = 0; at < size;) {
        ssize_t written = write(STDERR_FILENO, buffer + at, size - at);

        if (written >= 0) {
            at += (size_t)written;
            continue;
        }
        /* A terminal or pipe that somebody has made non-blocking is waited for, so that no line is lost in the
         * middle. */
        struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (errno != EINTR && (errno != EAGAIN || poll(&ready, 1, -1) <= 0))
            return; /* there is nobody left to tell */
    }
}
