#include "context/job_frame.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "context/frame.h"

static const struct {
    const char *name;
    size_t offset; /* in struct job_values */
} own_values[] = {
    {JOB_VALUE_ID, offsetof(struct job_values, id)},
    {JOB_VALUE_TYPE, offsetof(struct job_values, type)},
    {JOB_VALUE_QUEUE, offsetof(struct job_values, queue)},
    {JOB_VALUE_ATTEMPT, offsetof(struct job_values, attempt)},
    {JOB_VALUE_ROOT_ID, offsetof(struct job_values, root_id)},
    {JOB_VALUE_TRACE_ID, offsetof(struct job_values, trace_id)},
    {JOB_VALUE_SPAN_ID, offsetof(struct job_values, span_id)},
    {JOB_VALUE_HANDLER, offsetof(struct job_values, handler)},
    {JOB_VALUE_TASK, offsetof(struct job_values, task)},
};

struct job_values job_values_of(const struct job *job, char attempt[static JOB_ATTEMPT_SIZE])
{
    (void)snprintf(attempt, JOB_ATTEMPT_SIZE, "%u", job->attempt);
    return (struct job_values){
        .id = job->id,
        .type = job->type,
        .queue = job->queue,
        .attempt = attempt,
        .root_id = job->root,
        .trace_id = job->trace_id,
        .metadata = job->metadata,
        .metadata_count = job->metadata_count,
    };
}

int job_frame_new(const struct job_values *values, void *owner, void (*release)(void *owner),
                  struct weft_context **ret_frame)
{
    struct frame_entry entries[ELEMENTS(own_values) + JOB_METADATA_MAX];
    size_t count = 0;

    assert(values->metadata_count <= JOB_METADATA_MAX);
    /* Weft's own values come first, so that no metadata can take their names. */
    for (size_t i = 0; i < ELEMENTS(own_values); i++) {
        const char *value = *(const char *const *)((const char *)values + own_values[i].offset);

        if (value && value[0])
            entries[count++] = (struct frame_entry){.name = own_values[i].name, .value = value, .size = strlen(value)};
    }
    for (size_t i = 0; i < values->metadata_count; i++) {
        const struct job_field *field = &values->metadata[i];

        entries[count++] = (struct frame_entry){.name = field->name, .value = field->value, .size = field->size};
    }
    return frame_new(entries, count, owner, release, ret_frame);
}
