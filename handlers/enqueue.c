/* A job that enqueues another hands its identity, its trace and its metadata on. */
#include "handlers/enqueue.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

#include "context/lock.h"
#include "context/macros.h"
#include "context/name.h"
#include "context/task/offload.h"
#include "context/task/task.h"
#include "handlers/runner.h"

/* The fields that weft adds by itself, besides metadata: type, payload, id, delay, attempts, timeout, unique,
 * unique_for, parent, root, traceparent, tracestate. */
enum { INSTRUCTIONS_MAX = 12 };

#define TRACEPARENT_SIZE 56

/* The runner of this thread's jobs, for tasks that belong to none. */
static _Thread_local struct runner *runner_of_thread;

void enqueue_set_runner(struct runner *runner)
{
    runner_of_thread = runner;
}

/* ---- The message ---- */

struct message {
    struct job_field *fields;
    size_t count;
    char delay[32];
    char attempts[16];
    char timeout[32];
    char unique_for[32];
    char traceparent[TRACEPARENT_SIZE];
};

static void add_bytes(struct message *message, const char *name, const void *value, size_t size)
{
    message->fields[message->count++] = (struct job_field){.name = name, .value = value, .size = size};
}

static void add_text(struct message *message, const char *name, const char *value)
{
    if (value)
        add_bytes(message, name, value, strlen(value));
}

static void add_milliseconds(struct message *message, const char *name, uint64_t milliseconds, char buffer[static 32])
{
    if (milliseconds == 0)
        return;
    (void)snprintf(buffer, 32, "%" PRIu64 "ms", milliseconds);
    add_text(message, name, buffer);
}

/* What weft itself understands: of the call, and of the job that makes it, which may be NULL. */
static void add_instructions(struct message *message, const struct weft_enqueue_options *options,
                             const struct weft_job *job)
{
    const struct job *record = job ? job->record : NULL;

    add_text(message, "id", options->id);
    add_text(message, "unique", options->unique);
    add_milliseconds(message, "delay", options->delay_ms, message->delay);
    add_milliseconds(message, "timeout", options->timeout_ms, message->timeout);
    add_milliseconds(message, "unique_for", options->unique_for_ms, message->unique_for);
    if (options->attempts > 0) {
        (void)snprintf(message->attempts, sizeof(message->attempts), "%u", options->attempts);
        add_text(message, "attempts", message->attempts);
    }
    if (!record)
        return;
    add_text(message, "parent", record->id);
    add_text(message, "root", record->root);
    if (record->trace_id) {
        (void)snprintf(message->traceparent, sizeof(message->traceparent), "00-%s-%s-%s", record->trace_id,
                       job->span_id, record->trace_flags);
        add_text(message, "traceparent", message->traceparent);
        add_text(message, "tracestate", record->tracestate);
    }
}

static bool is_given(const char *const *metadata, const char *name)
{
    for (; metadata && metadata[0]; metadata += 2)
        if (strcmp(metadata[0], name) == 0)
            return true;
    return false;
}

/* The job's metadata, each with the value that the current context has for it, and what is given. What the receiver
 * would refuse is refused here, where somebody can do something about it. */
static int add_metadata(struct message *message, const struct weft_job *job, const char *const *given)
{
    size_t first = message->count, bytes = 0;

    for (size_t i = 0; job && i < job->record->metadata_count; i++) {
        const char *name = job->record->metadata[i].name;
        size_t size;
        const void *value = weft_get_bytes(name, &size);

        if (value && !is_given(given, name))
            add_bytes(message, name, value, size);
    }
    for (; given && given[0]; given += 2)
        add_text(message, given[0], given[1]);
    for (size_t i = first; i < message->count; i++)
        bytes += strlen(message->fields[i].name) + message->fields[i].size;
    return message->count - first > JOB_METADATA_MAX || bytes > JOB_METADATA_BYTES ? -E2BIG : 0;
}

/* ---- The wait ---- */

/* Outlives a caller that was interrupted. */
struct request {
    struct weft_future future;
    bool abandoned;
    char id[WEFT_ID_SIZE];
    struct weft_context *context; /* whose log gets Redis's words */
};

static int log_refusal(void *text)
{
    weft_error("could not enqueue a child job: %s", (const char *)text);
    return 0;
}

static struct request *request_free(struct request *request)
{
    (void)weft_context_unref(request->context);
    free(request);
    return NULL;
}

static void request_done(int result, const char *text, void *arg)
{
    struct request *request = arg;

    if (result < 0)
        (void)weft_run_in(request->context, log_refusal, (void *)(uintptr_t)text);
    else
        (void)snprintf(request->id, sizeof(request->id), "%s", text);
    if (request->abandoned)
        (void)request_free(request);
    else
        weft_future_complete(&request->future, result);
}

static const struct operation_class enqueue_class = {.kind = "enqueue"};

static int send_and_wait(struct runner *runner, const char *queue, const struct message *message, const void *place,
                         char *ret_id)
{
    struct request *request = calloc(1, sizeof(*request));

    if (!request)
        return -ENOMEM;
    request->context = weft_capture();
    int r = runner->events->enqueue(queue, message->fields, message->count, request_done, request, runner->user);
    if (r < 0) {
        (void)request_free(request);
        return r;
    }

    int result = 0;
    r = task_wait_for(&request->future, &enqueue_class, queue, place, &result);
    if (r < 0 && !request->future.done) {
        request->abandoned = true;
        return r;
    }
    if (r == 0)
        r = result;
    if (r == 0 && ret_id)
        memcpy(ret_id, request->id, WEFT_ID_SIZE);
    (void)request_free(request);
    return r;
}

/* ---- The wait of a thread ---- */

/* The same, asked for by a thread of the pool and done by the loop's. Each of those that refer to it lets go of it by
 * itself: the thread, the loop's function, and what is called when Redis has answered. */
struct threaded_request {
    struct offload_post post; /* first */
    atomic_int references;
    struct runner *runner;
    const char *queue; /* these two are the thread's, until it is taken */
    const struct message *message;
    struct weft_context *context;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool taken; /* under the lock, and likewise: */
    bool done;
    bool cancelled;
    int result;
    char id[WEFT_ID_SIZE];
};

static void threaded_request_unref(struct threaded_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) > 1)
        return;
    (void)pthread_cond_destroy(&request->changed);
    (void)pthread_mutex_destroy(&request->lock);
    (void)weft_context_unref(request->context);
    free(request);
}

static void threaded_request_done(int result, const char *text, void *arg)
{
    struct threaded_request *request = arg;

    if (result < 0 && text)
        (void)weft_run_in(request->context, log_refusal, (void *)(uintptr_t)text);
    lock_take(&request->lock);
    assert(!request->done);
    request->done = true;
    request->result = result;
    if (result == 0)
        (void)snprintf(request->id, sizeof(request->id), "%s", text);
    (void)pthread_cond_signal(&request->changed);
    lock_give(&request->lock);
    threaded_request_unref(request);
}

/* On the loop's thread. The message is copied before the thread hears that it was taken. */
static void take_request(struct offload_post *post)
{
    struct threaded_request *request = (struct threaded_request *)post;
    struct runner *runner = request->runner;

    assert(runner->loop == loop_current());
    int r = runner->events->enqueue(request->queue, request->message->fields, request->message->count,
                                    threaded_request_done, request, runner->user);

    if (r < 0)
        threaded_request_done(r, NULL, request);
    lock_take(&request->lock);
    request->taken = true;
    (void)pthread_cond_signal(&request->changed);
    lock_give(&request->lock);
    threaded_request_unref(request);
}

static void cancel_request(void *arg)
{
    struct threaded_request *request = arg;

    lock_take(&request->lock);
    request->cancelled = true;
    (void)pthread_cond_signal(&request->changed);
    lock_give(&request->lock);
}

static int send_and_block(struct runner *runner, const char *queue, const struct message *message, char *ret_id)
{
    struct threaded_request *request = calloc(1, sizeof(*request));

    if (!request)
        return -ENOMEM;
    request->post.fn = take_request;
    atomic_store(&request->references, 1);
    request->runner = runner;
    request->queue = queue;
    request->message = message;
    request->context = weft_capture();
    (void)pthread_mutex_init(&request->lock, NULL);
    (void)pthread_cond_init(&request->changed, NULL);
    int r = weft_on_cancel(cancel_request, request);
    if (r < 0) {
        threaded_request_unref(request);
        return r;
    }
    atomic_fetch_add(&request->references, 2);
    offload_post(&request->post);

    lock_take(&request->lock);
    while (!request->taken || !(request->done || request->cancelled))
        (void)pthread_cond_wait(&request->changed, &request->lock);
    r = request->done ? request->result : offload_task_here()->interruption;
    if (r == 0 && ret_id)
        memcpy(ret_id, request->id, WEFT_ID_SIZE);
    lock_give(&request->lock);
    (void)weft_off_cancel(cancel_request, request);
    threaded_request_unref(request);
    return r;
}

/* ---- The call ---- */

/* Fields that mean something to weft: given as metadata they would take the place of what the options say. */
static bool is_instruction(const char *name)
{
    static const char *const instructions[] = {"type",     "payload",     "id",        "delay",      "at",
                                               "attempts", "timeout",     "unique",    "unique_for", "parent",
                                               "root",     "traceparent", "tracestate"};

    for (size_t i = 0; i < ELEMENTS(instructions); i++)
        if (strcmp(name, instructions[i]) == 0)
            return true;
    return name_is_own(name, strlen(name));
}

static bool names_are_valid(const char *type, const struct weft_enqueue_options *options)
{
    if (!type || !name_is_valid(type, strlen(type)))
        return false;
    if (options->id && !name_is_job_id(options->id, strlen(options->id)))
        return false;
    if (options->queue && !name_is_valid(options->queue, strlen(options->queue)))
        return false;
    for (const char *const *given = options->metadata; given && given[0]; given += 2)
        if (!given[1] || !name_is_valid(given[0], strlen(given[0])) || is_instruction(given[0]))
            return false;
    return true;
}

int weft_enqueue(const char *type, const void *payload, size_t size, const struct weft_enqueue_options *options,
                 char *ret_id)
{
    static const struct weft_enqueue_options no_options;
    struct weft_job *job = weft_job_current();
    struct message message = {0};

    bool blocks = offload_task_here() && offload_is_here();
    struct runner *runner = !blocks ? runner_of_thread : job ? job->runner : NULL;

    if (!runner || (!blocks && !weft_task_current()))
        return task_result(-EDEADLK);
    if (!options)
        options = &no_options;
    if (!names_are_valid(type, options))
        return task_result(-EINVAL);

    size_t count = INSTRUCTIONS_MAX + (job ? job->record->metadata_count : 0);
    for (const char *const *given = options->metadata; given && given[0]; given += 2)
        count++;
    message.fields = malloc(count * sizeof(*message.fields));
    if (!message.fields)
        return task_result(-ENOMEM);
    add_text(&message, "type", type);
    if (payload)
        add_bytes(&message, "payload", payload, size);
    add_instructions(&message, options, job);

    const char *queue = options->queue ? options->queue : job ? job->record->queue : "default";
    int r = add_metadata(&message, job, options->metadata);
    if (r == 0)
        r = blocks ? send_and_block(runner, queue, &message, ret_id)
                   : send_and_wait(runner, queue, &message, OPERATION_PLACE(), ret_id);
    if (r == 0 && ret_id && options->id)
        (void)snprintf(ret_id, WEFT_ID_SIZE, "%s", options->id);
    free(message.fields);
    return task_result(r);
}
