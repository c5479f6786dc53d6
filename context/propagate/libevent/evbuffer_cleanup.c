/* What a buffer calls when it no longer needs memory or a file of the user's, once: in the context of the call that
 * lent it. */
#include <event2/buffer.h>

#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(cleanups);

static const struct operation_class cleanup_class = {.kind = "buffer cleanup"};

/* ---- evbuffer_add_reference() ---- */

struct reference {
    struct wrapped_callback wrapped;
    evbuffer_ref_cleanup_cb cleanup;
    void *arg;
};

static void run_reference_cleanup(const void *data, size_t size, void *arg)
{
    struct reference *reference = arg;
    struct current saved;

    wrapped_callback_enter(&reference->wrapped, &saved);
    reference->cleanup(data, size, reference->arg);
    wrapped_callback_leave(&reference->wrapped, &saved);
    wrapped_callback_drop(&reference->wrapped);
}

PROPAGATE_EXPORT int evbuffer_add_reference(struct evbuffer *buffer, const void *data, size_t size,
                                            evbuffer_ref_cleanup_cb cleanup, void *arg)
{
    struct reference *reference = NULL;

    if (!propagate_exempts((void *)cleanup))
        reference = wrapped_callback_new(sizeof(*reference), &cleanup_class, NULL, OPERATION_PLACE());
    if (!reference)
        return REAL(evbuffer_add_reference)(buffer, data, size, cleanup, arg);

    reference->cleanup = cleanup;
    reference->arg = arg;
    int r = REAL(evbuffer_add_reference)(buffer, data, size, run_reference_cleanup, reference);
    if (r < 0)
        wrapped_callback_drop(&reference->wrapped);
    return r;
}

/* ---- evbuffer_file_segment_add_cleanup_cb() ---- */

/* Filed under its segment: a second one takes its place. */
struct segment {
    struct wrapped_callback wrapped;
    evbuffer_file_segment_cleanup_cb cleanup;
    void *arg;
};

static void run_segment_cleanup(const struct evbuffer_file_segment *file_segment, int flags, void *arg)
{
    struct segment *segment = arg;
    struct current saved;
    bool is_ours = wrapped_callback_take_this(&segment->wrapped, file_segment);

    wrapped_callback_enter(&segment->wrapped, &saved);
    segment->cleanup(file_segment, flags, segment->arg);
    wrapped_callback_leave(&segment->wrapped, &saved);
    if (is_ours)
        wrapped_callback_drop(&segment->wrapped);
}

PROPAGATE_EXPORT void evbuffer_file_segment_add_cleanup_cb(struct evbuffer_file_segment *file_segment,
                                                           evbuffer_file_segment_cleanup_cb cleanup, void *arg)
{
    struct wrapped_callback *old = wrapped_callback_take(file_segment, &cleanup_class, NULL, NULL);
    struct segment *segment = NULL;

    if (!propagate_exempts((void *)cleanup))
        segment = wrapped_callback_new(sizeof(*segment), &cleanup_class, NULL, OPERATION_PLACE());
    if (segment) {
        segment->cleanup = cleanup;
        segment->arg = arg;
        wrapped_callback_file(&segment->wrapped, file_segment);
        REAL(evbuffer_file_segment_add_cleanup_cb)(file_segment, run_segment_cleanup, segment);
    } else {
        REAL(evbuffer_file_segment_add_cleanup_cb)(file_segment, cleanup, arg);
    }
    wrapped_callback_drop(old);
}
