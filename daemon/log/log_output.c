#include "daemon/log/log_output.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/async/running_job.h"
#include "context/job_frame.h"
#include "context/log/log_json.h"
#include "context/log/log_text.h"
#include "context/macros.h"
#include "daemon/log/journal.h"
#include "daemon/log/log_destination.h"
#include "daemon/metrics/histogram.h"

/* A turn of the loop may take long: what is said in it is to be seen meanwhile. */
#define FLUSH_PERIOD_US (100 * INT64_C(1000))

struct log_output {
    const struct config *config;
    struct scoreboard_slot *slot;     /* whose buffers collect the lines of this process; NULL: none yet */
    struct scoreboard_slot *own_slot; /* one that this process has made for itself; NULL: none */
    struct log_destination destinations[SCOREBOARD_OUTPUTS_MAX];
    size_t count;
    struct event *flush_event; /* NULL: every line is written at once */
    bool flush_pending;        /* under the lock */
    int64_t flushed_us;        /* Unix time of the line that was written last; under the lock */
    pthread_t loop_thread;
    pthread_mutex_t lock;
    const char **fields;
};

/* Where the logger of this process, of which there is one, sends its lines. */
static struct log_output *installed;

/* What a line says of its job, in the order of the contract. */
static const struct log_label labels[] = {
    {.key = "job_id", .name = JOB_VALUE_ID},
    {.key = "type", .name = JOB_VALUE_TYPE},
    {.key = "queue", .name = JOB_VALUE_QUEUE},
    {.key = "attempt", .name = JOB_VALUE_ATTEMPT, .integer = true},
    {.key = "task", .name = JOB_VALUE_TASK},
    {.key = "handler", .name = JOB_VALUE_HANDLER},
    {.key = "root_id", .name = JOB_VALUE_ROOT_ID, .unless = JOB_VALUE_ID},
    {.key = "trace_id", .name = JOB_VALUE_TRACE_ID},
    {.key = "span_id", .name = JOB_VALUE_SPAN_ID},
};

/* ---- Writing ---- */

/* Writes the bytes of a buffer; where the output does not take them they stay, to be tried again. Gives 0 or a negative
 * errno. */
static int write_buffer(struct scoreboard_buffer *buffer, int fd)
{
    size_t begin = atomic_load(&buffer->begin), end = atomic_load(&buffer->end);

    while (begin < end) {
        ssize_t written = write(fd, buffer->bytes + begin, end - begin);

        if (written < 0 && errno != EINTR) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            int error = errno;

            /* Waits for an output that somebody has made non-blocking. */
            if (error != EAGAIN)
                return -error;
            if (poll(&ready, 1, -1) <= 0)
                return -errno;
        }
        if (written > 0) {
            begin += (size_t)written;
            atomic_store(&buffer->begin, begin);
        }
    }
    /* The end goes first: a process that dies between the two leaves an empty buffer, not old lines. */
    atomic_store(&buffer->end, 0);
    atomic_store(&buffer->begin, 0);
    return 0;
}

static void flush_locked(struct log_output *output)
{
    output->flush_pending = false;
    for (size_t i = 0; i < output->count && output->slot; i++)
        if (!output->destinations[i].journal)
            output->destinations[i].error = write_buffer(&output->slot->outputs[i], output->destinations[i].fd);
}

/* An output that fails is told of on the others; on itself the line waits with the rest. Not under the lock. */
static void report_problems(struct log_destination *destination)
{
    if (destination->error == destination->logged_error)
        return;
    destination->logged_error = destination->error;
    if (destination->error < 0) {
        weft_error("log output %s cannot be written: %s; its lines are %s", destination->name,
                   strerror(-destination->error), destination->journal ? "lost" : "kept and tried again");
        return;
    }
    weft_warn("log output %s can be written again; %u lines were lost meanwhile", destination->name, destination->lost);
    destination->lost = 0;
}

void log_output_flush(struct log_output *output)
{
    (void)pthread_mutex_lock(&output->lock);
    flush_locked(output);
    (void)pthread_mutex_unlock(&output->lock);
    for (size_t i = 0; i < output->count; i++)
        report_problems(&output->destinations[i]);
}

void log_output_tend(void)
{
    if (installed)
        log_output_flush(installed);
}

/* What was written into the buffers until now belongs to the old files. */
void log_output_reopen(struct log_output *output)
{
    if (!output)
        output = installed;
    if (!output)
        return;
    log_output_flush(output);
    for (size_t i = 0; i < output->count; i++) {
        (void)pthread_mutex_lock(&output->lock);
        int r = log_destination_reopen(&output->destinations[i]);
        (void)pthread_mutex_unlock(&output->lock);
        if (r < 0)
            weft_error("the log file %s cannot be opened anew: %s; its lines go on into the old one",
                       output->destinations[i].name, strerror(-r));
        else if (output->destinations[i].owned)
            weft_debug("the log file %s is opened anew", output->destinations[i].name);
    }
}

int log_output_flush_slot(struct log_output *output, struct scoreboard_slot *slot)
{
    int r = 0;

    for (size_t i = 0; i < output->count; i++) {
        int written = write_buffer(&slot->outputs[i], output->destinations[i].fd);

        if (written < 0)
            r = written;
    }
    return r;
}

static size_t format(const struct log_destination *destination, const struct log_record *record, char *place,
                     size_t size)
{
    return destination->text ? log_format_text(record, destination->colour, place, size)
                             : log_format_json(record, place, size);
}

/* The line is lost if `error` is one. */
static void note_error(struct scoreboard_slot *slot, struct log_destination *destination, int error)
{
    destination->error = error;
    if (error < 0) {
        destination->lost++;
        counter_add(&slot->log_lines_lost, 1);
    }
}

static void append(struct scoreboard_slot *slot, size_t number, struct log_destination *destination,
                   const struct log_record *record)
{
    struct scoreboard_buffer *buffer = &slot->outputs[number];

    if (destination->journal) {
        note_error(slot, destination, journal_send(record));
        return;
    }

    size_t end = atomic_load_explicit(&buffer->end, memory_order_relaxed);
    size_t size = format(destination, record, buffer->bytes + end, SCOREBOARD_BUFFER_SIZE - end);

    if (size == 0) {
        note_error(slot, destination, write_buffer(buffer, destination->fd));
        if (destination->error < 0)
            return;
        end = 0;
        size = format(destination, record, buffer->bytes, SCOREBOARD_BUFFER_SIZE);
    }
    /* Published only when it is whole: the supervisor never finds half a line. */
    atomic_store_explicit(&buffer->end, end + size, memory_order_release);
}

/* The logger's sink. */
static void take_line(const struct log_record *record, void *user)
{
    struct log_output *output = user;
    /* An output that takes its time, or another thread that waits for one, keeps whoever logs. */
    uintptr_t logged_error = running_job_leave();

    (void)pthread_mutex_lock(&output->lock);
    /* In a process that was forked since: a slot of its own. */
    if (!output->slot && scoreboard_slot_new(0, &output->own_slot) == 0)
        output->slot = output->own_slot;
    for (size_t i = 0; i < output->count && output->slot; i++)
        append(output->slot, i, &output->destinations[i], record);
    if (output->slot)
        counter_add(&output->slot->log_lines[record->level], 1);
    if (!output->flush_event || !pthread_equal(pthread_self(), output->loop_thread) ||
        record->time_us - output->flushed_us >= FLUSH_PERIOD_US) {
        flush_locked(output);
        output->flushed_us = record->time_us;
    } else if (!output->flush_pending) {
        output->flush_pending = true;
        (void)event_add(output->flush_event, &(struct timeval){0});
    }
    (void)pthread_mutex_unlock(&output->lock);
    running_job_return(logged_error);
}

static void flush_in_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    log_output_flush(arg);
}

/* ---- Forks ---- */

/* What is in the buffers is still the other process's to write, and so are the buffers; no loop of it runs here. Lines
 * of the new process are written at once, until it moves. */
static void leave_slot(void)
{
    struct log_output *output = installed;

    if (!output)
        return;
    /* Another thread, which is not here, may have held it. */
    (void)pthread_mutex_init(&output->lock, NULL);
    output->slot = NULL;
    output->own_slot = scoreboard_slot_free(output->own_slot);
    output->flush_event = NULL;
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, leave_slot);
}

/* ---- Its life ---- */

int log_output_new(const struct config *config, struct scoreboard_slot *slot, struct log_output **ret_output,
                   char **ret_message)
{
    struct log_output *output = calloc(1, sizeof(*output));

    *ret_message = NULL;
    if (!output)
        return -ENOMEM;
    output->config = config;
    output->slot = slot;
    (void)pthread_mutex_init(&output->lock, NULL);
    int r = log_destinations_open(config, output->destinations, &output->count, ret_message);
    const struct config_strings *fields = &config->log.fields;
    if (r == 0) {
        output->fields = calloc(fields->count + 1, sizeof(*output->fields));
        r = output->fields ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < fields->count && r == 0; i++)
        output->fields[i] = fields->items[i].text;
    if (r < 0) {
        (void)log_output_free(output);
        return r;
    }
    *ret_output = output;
    return 0;
}

static void install(struct log_output *output)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, watch_forks);
    installed = output;
    log_configure(&(struct log_options){
        .level = (enum weft_level)output->config->log.level,
        .labels = labels,
        .label_count = ELEMENTS(labels),
        .node = output->config->node,
        .fields = output->fields,
        .field_count = output->config->log.fields.count,
        .sink = take_line,
        .user = output,
    });
}

void log_output_install(struct log_output *output)
{
    if (installed)
        log_output_flush(installed);
    install(output);
}

/* What the supervisor has installed may be another one, of the next configuration, and its lines are not ours to write.
 */
int log_output_move(struct log_output *output, struct scoreboard_slot *slot, struct event_base *base)
{
    output->flush_event = evtimer_new(base, flush_in_turn, output);
    if (!output->flush_event)
        return -ENOMEM;
    install(output);
    output->slot = slot;
    output->own_slot = scoreboard_slot_free(output->own_slot);
    output->loop_thread = pthread_self();
    return 0;
}

bool log_output_has(const struct log_output *output, int fd)
{
    if (!output)
        output = installed;
    for (size_t i = 0; output && i < output->count; i++)
        if (log_destination_may_use(&output->destinations[i], fd))
            return true;
    return false;
}

struct log_output *log_output_free(struct log_output *output)
{
    if (!output)
        return NULL;
    if (installed == output) {
        log_configure(&(struct log_options){.level = WEFT_INFO});
        log_output_flush(output);
        installed = NULL;
    }
    if (output->flush_event)
        event_free(output->flush_event);
    for (size_t i = 0; i < output->count; i++)
        log_destination_close(&output->destinations[i]);
    (void)pthread_mutex_destroy(&output->lock);
    (void)scoreboard_slot_free(output->own_slot);
    free(output->fields);
    free(output);
    return NULL;
}
