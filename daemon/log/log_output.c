#include "daemon/log/log_output.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/async/running_job.h"
#include "context/lock.h"
#include "context/log/job_log.h"
#include "context/log/log_json.h"
#include "context/log/log_text.h"
#include "context/macros.h"
#include "context/time.h"
#include "daemon/log/journal.h"
#include "daemon/log/log_destination.h"
#include "daemon/metrics/histogram.h"

/* A turn of the loop may take long: what is said in it is to be seen meanwhile. */
#define FLUSH_PERIOD_US (100 * INT64_C(1000))

/* An output that was full is tried again after so long; each time that it takes nothing, that doubles. */
#define RETRY_MIN_US (1000)
#define RETRY_MAX_US (50 * 1000)

/* How long whoever waits for an output does so before it tries again. */
enum { WAIT_MS = 50 };

/* Of the end of a process. */
static const struct log_output_patience at_the_end = {.step_us = 2 * 1000 * 1000, .limit_us = 20 * 1000 * 1000};

/* Of a process without a loop, which may end at any time, with each line. */
static const struct log_output_patience for_a_line = {.step_us = 100 * 1000, .limit_us = 100 * 1000};

struct log_output {
    const struct config *config;
    pid_t maker;                     /* the supervisor */
    struct scoreboard_slot *slot;    /* where this process counts its lines; NULL: nowhere */
    struct log_buffers *buffers;     /* where it collects them; NULL: nowhere yet */
    struct log_buffers *own_buffers; /* those that it has made itself; NULL: none */
    struct log_destination destinations[LOG_BUFFERS_MAX];
    size_t count;
    bool may_wait;             /* for a full output, where the configuration says so */
    bool ends_soon;            /* a process that was forked: nobody writes what it leaves */
    struct event *flush_event; /* NULL: every line is written at once */
    bool flush_pending;        /* under the lock */
    int retry_us;              /* until the next try, since an output was full; 0: none was */
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

static size_t format(const struct log_destination *destination, const struct log_record *record, char *place,
                     size_t size)
{
    return destination->text ? log_format_text(record, destination->colour, place, size)
                             : log_format_json(record, place, size);
}

static void count_lost(struct log_output *output, uint64_t lines)
{
    if (output->slot && lines > 0)
        counter_add(&output->slot->log_lines_lost, lines);
}

/* Gives what log_destination_write() does. */
static int write_buffer(struct log_output *output, size_t number)
{
    struct log_destination *destination = &output->destinations[number];
    const struct log_buffer *buffer = &output->buffers->buffers[number];
    unsigned lost = destination->lost;
    int r = log_destination_write(destination, buffer, output->buffers->id);

    count_lost(output, destination->lost - lost);
    if (r == 0)
        destination->full = false;
    /* One that is full is no error until lines are lost. */
    if (r != -EAGAIN)
        destination->error = r;
    return r;
}

/* Tries again soon what an output has not taken. */
static void schedule(struct log_output *output, int delay_us)
{
    if (output->flush_event && !output->flush_pending) {
        output->flush_pending = true;
        (void)event_add(output->flush_event, &(struct timeval){.tv_usec = delay_us});
    }
}

/* Gives how many bytes the outputs have not taken; `*ret_taken`: whether they have taken any. */
static size_t flush_locked(struct log_output *output, bool *ret_taken)
{
    size_t before = 0, left = 0;

    for (size_t i = 0; i < output->count && output->buffers; i++) {
        const struct log_buffer *buffer = &output->buffers->buffers[i];

        if (output->destinations[i].kind == LOG_TO_JOURNAL || log_buffer_is_empty(buffer))
            continue;
        before += log_buffer_used(buffer);
        (void)write_buffer(output, i);
        left += log_buffer_used(buffer);
    }
    *ret_taken = left < before;
    return left;
}

/* ---- Telling ---- */

/* Under each job whose lines are missing, that they are. */
static void tell_of_jobs(const struct log_drops *drops)
{
    for (size_t i = 0; i < drops->count; i++) {
        const struct log_drop *drop = &drops->drops[i];
        struct current saved;

        if (job_log_enter(&saved, &(struct job_values){.id = drop->values[LOG_DROP_ID],
                                                       .type = drop->values[LOG_DROP_TYPE],
                                                       .queue = drop->values[LOG_DROP_QUEUE],
                                                       .attempt = drop->values[LOG_DROP_ATTEMPT],
                                                       .root_id = drop->values[LOG_DROP_ROOT_ID]}) < 0)
            continue;
        weft_log_with(WEFT_WARN, "log lines of this job were lost", WEFT_INT("lines", drop->lines));
        current_leave(&saved);
    }
    if (drops->others > 0)
        weft_log_with(WEFT_WARN, "log lines of further jobs were lost", WEFT_INT("lines", drops->others));
}

/* On the journal, when nothing is left to say it on. */
static void tell_journal(const char *message)
{
    (void)journal_send(&(struct log_record){
        .level = WEFT_ERROR, .message = message, .message_size = strlen(message), .pid = getpid()});
}

static bool has_others(const struct log_output *output)
{
    for (size_t i = 0; i < output->count; i++)
        if (!output->destinations[i].turn || !log_turn_is_gone(output->destinations[i].turn))
            return true;
    return false;
}

static void report_end(struct log_output *output, const struct log_destination *destination)
{
    char message[512];

    if (!log_turn_is_to_tell(destination->turn))
        return;
    (void)snprintf(message, sizeof(message), "log output %s is gone: %s; its lines are lost from now on",
                   destination->name, strerror(destination->error ? -destination->error : EPIPE));
    if (has_others(output))
        weft_error("%s", message);
    else
        tell_journal(message);
}

static void report_recovery(struct log_output *output, struct log_destination *destination)
{
    struct log_drops *drops = calloc(1, sizeof(*drops));

    lock_take(&output->lock);
    unsigned lost = destination->lost;
    destination->lost = 0;
    if (drops && output->buffers)
        log_drops_take(output->buffers->drops, drops);
    lock_give(&output->lock);
    weft_warn("log output %s can be written again; %u lines were lost meanwhile", destination->name, lost);
    if (drops)
        tell_of_jobs(drops);
    free(drops);
}

/* An output that fails is told of on the others; on itself the line waits with the rest. Not under the lock. */
static void report_problem(struct log_output *output, struct log_destination *destination)
{
    int problem = destination->error < 0 ? destination->error : destination->full ? -ENOBUFS : 0;

    if (destination->turn && log_turn_is_gone(destination->turn)) {
        report_end(output, destination);
        return;
    }
    if (problem == destination->logged_problem)
        return;
    destination->logged_problem = problem;
    if (problem == -ENOBUFS)
        weft_error("log output %s takes nothing and its buffer is full; its lines are lost", destination->name);
    else if (problem < 0)
        weft_error("log output %s cannot be written: %s; its lines are %s", destination->name, strerror(-problem),
                   destination->kind == LOG_TO_JOURNAL ? "lost" : "kept and tried again");
    else
        report_recovery(output, destination);
}

/* ---- Flushing ---- */

void log_output_flush(struct log_output *output)
{
    lock_take(&output->lock);
    bool taken;
    size_t left = flush_locked(output, &taken);
    if (left == 0)
        output->retry_us = 0;
    else if (taken || output->retry_us == 0)
        output->retry_us = RETRY_MIN_US;
    else
        output->retry_us = 2 * output->retry_us < RETRY_MAX_US ? 2 * output->retry_us : RETRY_MAX_US;
    if (left > 0)
        schedule(output, output->retry_us);
    lock_give(&output->lock);
    for (size_t i = 0; i < output->count; i++)
        report_problem(output, &output->destinations[i]);
}

void log_output_tend(void)
{
    if (installed)
        log_output_flush(installed);
}

/* Writes and waits. Gives how many bytes the output has not taken. */
static size_t drain(struct log_destination *destination, const struct log_buffer *buffer, uint32_t id,
                    const struct log_output_patience *patience)
{
    int64_t began_us = time_steady_us(), progress_us = began_us;
    size_t before = log_buffer_used(buffer);

    for (;;) {
        int r = log_destination_write(destination, buffer, id);
        size_t left = log_buffer_used(buffer);
        int64_t now_us = time_steady_us();

        if (left < before)
            progress_us = now_us;
        before = left;
        if (r != -EAGAIN || now_us - progress_us >= patience->step_us || now_us - began_us >= patience->limit_us)
            return left;
        log_destination_wait(destination, (int)(patience->step_us / 1000));
    }
}

static void drain_own(struct log_output *output, const struct log_output_patience *patience)
{
    for (size_t i = 0; i < output->count && output->buffers; i++)
        if (output->destinations[i].kind != LOG_TO_JOURNAL)
            (void)drain(&output->destinations[i], &output->buffers->buffers[i], output->buffers->id, patience);
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
        lock_take(&output->lock);
        int r = log_destination_reopen(&output->destinations[i]);
        lock_give(&output->lock);
        if (r < 0)
            weft_error("the log file %s cannot be opened anew: %s; its lines go on into the old one",
                       output->destinations[i].name, strerror(-r));
        else if (output->destinations[i].named)
            weft_debug("the log file %s is opened anew", output->destinations[i].name);
    }
}

/* ---- What others have left ---- */

/* What a worker could not say itself any more. */
static void report_left(const struct log_buffers *buffers)
{
    struct log_drops *drops = buffers->drops->lines > 0 ? malloc(sizeof(*drops)) : NULL;

    if (!drops)
        return;
    log_drops_take(buffers->drops, drops);
    weft_warn("%u log lines of a worker that has ended were lost", drops->lines);
    tell_of_jobs(drops);
    free(drops);
}

size_t log_output_write_left(struct log_output *output, const struct log_buffers *buffers,
                             const struct log_output_patience *patience)
{
    size_t left = 0;

    for (size_t i = 0; i < output->count && buffers; i++)
        if (output->destinations[i].kind != LOG_TO_JOURNAL)
            left += drain(&output->destinations[i], &buffers->buffers[i], buffers->id, patience);
    if (left == 0 && buffers)
        report_left(buffers);
    return left;
}

bool log_output_has_begun(const struct log_output *output, const struct log_buffers *buffers)
{
    for (size_t i = 0; i < output->count && buffers; i++)
        if (output->destinations[i].turn && log_turn_belongs_to(output->destinations[i].turn, buffers->id))
            return true;
    return false;
}

size_t log_output_discard_left(struct log_output *output, const struct log_buffers *buffers)
{
    size_t lines = 0;

    for (size_t i = 0; i < output->count && buffers; i++) {
        if (output->destinations[i].kind == LOG_TO_JOURNAL)
            continue;
        lines += log_buffer_discard(&buffers->buffers[i]);
        log_turn_abandon(output->destinations[i].turn, buffers->id);
    }
    count_lost(output, lines);
    return lines;
}

/* ---- Lines ---- */

/* Makes the line in the buffer; gives false where it has no room. */
static bool put(const struct log_buffer *buffer, const struct log_destination *destination,
                const struct log_record *record)
{
    for (int next_round = 0; next_round <= 1; next_round++) {
        size_t room;
        char *place = log_buffer_place(buffer, next_round, &room);
        size_t size = room > 0 ? format(destination, record, place, room) : 0;

        if (size > 0) {
            log_buffer_publish(buffer, next_round, size);
            return true;
        }
    }
    return false;
}

/* Whoever wants to lose nothing waits here until the output takes something; the supervisor, which says how weftd
 * is, does not. Tells the watchdog, since no job is to blame for it. */
static bool wait_for_room(struct log_output *output, size_t number, const struct log_record *record)
{
    struct log_destination *destination = &output->destinations[number];
    bool done = false;

    if (!output->may_wait || output->config->log.when_full != CONFIG_LOG_BLOCK)
        return false;
    if (output->slot)
        atomic_fetch_add(&output->slot->log_waits, 1);
    for (int64_t since_us = time_steady_us(), now_us; !done && !log_turn_is_gone(destination->turn);
         since_us = now_us) {
        log_destination_wait(destination, WAIT_MS);
        (void)write_buffer(output, number);
        done = put(&output->buffers->buffers[number], destination, record);
        now_us = time_steady_us();
        log_note_wait(now_us - since_us);
    }
    if (output->slot)
        atomic_fetch_sub(&output->slot->log_waits, 1);
    return done;
}

static void lose(struct log_output *output, struct log_destination *destination, const struct log_record *record)
{
    destination->lost++;
    count_lost(output, 1);
    log_drops_add(output->buffers->drops, record);
}

static void append(struct log_output *output, size_t number, const struct log_record *record)
{
    struct log_destination *destination = &output->destinations[number];
    const struct log_buffer *buffer = &output->buffers->buffers[number];

    if (destination->kind == LOG_TO_JOURNAL) {
        destination->error = journal_send(record);
        if (destination->error < 0)
            lose(output, destination, record);
        return;
    }
    if (log_turn_is_gone(destination->turn)) {
        count_lost(output, 1);
        return;
    }
    if (put(buffer, destination, record))
        return;
    (void)write_buffer(output, number);
    if (put(buffer, destination, record) || wait_for_room(output, number, record))
        return;
    destination->full = true;
    lose(output, destination, record);
}

/* Buffers that the supervisor makes have a number of their own. Other processes have one at most. */
static int make_buffers(const struct log_output *output, struct log_buffers **ret_buffers)
{
    static uint32_t count;
    uint32_t id = output->ends_soon ? 0 : ++count;

    return log_buffers_new(output->count, (size_t)output->config->log.buffer, id, ret_buffers);
}

int log_output_new_buffers(const struct log_output *output, struct log_buffers **ret_buffers)
{
    return make_buffers(output, ret_buffers);
}

/* The logger's sink. */
static void take_line(const struct log_record *record, void *user)
{
    struct log_output *output = user;
    /* An output that takes its time, or another thread that waits for one, keeps whoever logs. */
    uintptr_t logged_error = running_job_leave();

    lock_take(&output->lock);
    /* In the supervisor, and in a process that was forked since: buffers of its own. */
    if (!output->buffers && make_buffers(output, &output->own_buffers) == 0)
        output->buffers = output->own_buffers;
    for (size_t i = 0; i < output->count && output->buffers; i++)
        append(output, i, record);
    if (output->slot)
        counter_add(&output->slot->log_lines[record->level], 1);
    if (!output->flush_event || !pthread_equal(pthread_self(), output->loop_thread) ||
        record->time_us - output->flushed_us >= FLUSH_PERIOD_US) {
        bool taken;

        output->flushed_us = record->time_us;
        if (flush_locked(output, &taken) > 0 && output->ends_soon)
            drain_own(output, &for_a_line);
    } else if (output->retry_us == 0) {
        schedule(output, 0);
    }
    lock_give(&output->lock);
    running_job_return(logged_error);
}

static void flush_in_turn(evutil_socket_t fd, short what, void *arg)
{
    struct log_output *output = arg;

    (void)fd;
    (void)what;
    lock_take(&output->lock);
    output->flush_pending = false;
    lock_give(&output->lock);
    log_output_flush(output);
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
    output->buffers = NULL;
    output->own_buffers = log_buffers_free(output->own_buffers);
    output->flush_event = NULL;
    output->flush_pending = false;
    output->ends_soon = true;
    output->may_wait = false;
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
    output->maker = getpid();
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
int log_output_move(struct log_output *output, struct scoreboard_slot *slot, struct log_buffers *buffers,
                    struct event_base *base)
{
    output->flush_event = evtimer_new(base, flush_in_turn, output);
    if (!output->flush_event)
        return -ENOMEM;
    install(output);
    output->slot = slot;
    output->buffers = buffers;
    output->own_buffers = log_buffers_free(output->own_buffers);
    output->ends_soon = false;
    output->may_wait = true;
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
        /* First, since what it has to tell is told by itself. */
        log_output_flush(output);
        log_configure(&(struct log_options){.level = WEFT_INFO});
        installed = NULL;
    }
    /* What a worker leaves is the supervisor's to write, if there is one. */
    if (output->buffers && (output->buffers == output->own_buffers || getppid() != output->maker))
        drain_own(output, &at_the_end);
    if (output->flush_event)
        event_free(output->flush_event);
    for (size_t i = 0; i < output->count; i++)
        log_destination_close(&output->destinations[i]);
    (void)pthread_mutex_destroy(&output->lock);
    (void)log_buffers_free(output->own_buffers);
    free(output->fields);
    free(output);
    return NULL;
}
