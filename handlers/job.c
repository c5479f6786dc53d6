/* The job as handlers see it: what it is, what it leaves behind, its memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

#include "context/lock.h"
#include "handlers/runner.h"

enum { RESULT_MAX = 1024 * 1024, PROGRESS_MAX = 1024 };

/* ---- What it is ---- */

const char *weft_job_id(const struct weft_job *job)
{
    return job->record->id;
}

const char *weft_job_type(const struct weft_job *job)
{
    return job->record->type;
}

const char *weft_job_queue(const struct weft_job *job)
{
    return job->record->queue;
}

const char *weft_job_root(const struct weft_job *job)
{
    return job->record->root;
}

const char *weft_job_parent(const struct weft_job *job)
{
    return job->record->parent;
}

unsigned weft_job_attempt(const struct weft_job *job)
{
    return job->record->attempt;
}

const void *weft_job_payload(const struct weft_job *job, size_t *ret_size)
{
    if (ret_size)
        *ret_size = job->record->payload_size;
    return job->record->payload;
}

/* ---- What it leaves behind ---- */

int weft_result(struct weft_job *job, const char *text)
{
    return weft_result_bytes(job, text, strlen(text));
}

int weft_result_bytes(struct weft_job *job, const void *data, size_t size)
{
    if (size > RESULT_MAX)
        return -E2BIG;

    char *copy = malloc(size + 1);
    if (!copy)
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    lock_take(&job->lock);
    if (!job->closed) {
        char *before = job->result;

        job->result = copy;
        job->result_size = size;
        copy = before;
    }
    lock_give(&job->lock);
    free(copy);
    return 0;
}

int weft_progress(struct weft_job *job, const char *format, ...)
{
    char *text;
    va_list args;

    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        return -ENOMEM;
    if (size > PROGRESS_MAX) {
        free(text);
        return -E2BIG;
    }
    lock_take(&job->lock);
    bool counts = !job->closed;
    if (counts) {
        char *before = job->progress;

        job->progress = text;
        text = before;
    }
    lock_give(&job->lock);
    free(text);
    if (counts)
        job->runner->events->progressed(job, job->runner->user);
    return 0;
}

/* ---- Its memory ---- */

void *weft_alloc(struct weft_job *job, size_t size)
{
    lock_take(&job->lock);
    void *memory = memory_get(&job->memory, size);
    lock_give(&job->lock);
    return memory;
}

char *weft_strdup(struct weft_job *job, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = weft_alloc(job, size);

    return copy ? memcpy(copy, text, size) : NULL;
}

char *weft_printf(struct weft_job *job, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    lock_take(&job->lock);
    char *text = memory_vprintf(&job->memory, format, args);
    lock_give(&job->lock);
    va_end(args);
    return text;
}

int weft_defer(struct weft_job *job, void (*fn)(void *arg), void *arg)
{
    struct deferred *deferred = weft_alloc(job, sizeof(*deferred));

    if (!deferred)
        return -ENOMEM;
    lock_take(&job->lock);
    *deferred = (struct deferred){.fn = fn, .arg = arg, .next = job->deferred};
    job->deferred = deferred;
    lock_give(&job->lock);
    return 0;
}
