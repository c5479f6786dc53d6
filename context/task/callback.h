/*
 * Callbacks behind weft_call_soon(), weft_call_later() and weft_post(): code that the loop runs in the context of the
 * call.
 */
#pragma once

#include <stdatomic.h>

#include <weft/api.h>

struct callback;
struct event;
struct event_base;
struct weft_loop;

/* Where any thread leaves callbacks for a loop. */
struct post_box {
    _Atomic(struct callback *) last; /* each knows the one before it; or a mark that the box takes none */
    int fd;                          /* an eventfd, written to when the box was empty */
    struct event *event;             /* keeps no base from returning */
};

/* Opens a box for a loop on `base`: the process's, unless another loop has that. Errors: -ENOMEM; -EMFILE and the like
 * where there is no descriptor. */
int post_box_open(struct event_base *base, struct weft_loop *loop, struct post_box **ret_box) WEFT_MUST_CHECK;

/* From now on nothing can be posted to the loop; what was is called now. On the loop's thread. Harmless when done
 * twice. Takes NULL. */
void post_box_close(struct weft_loop *loop);

/* Frees a box that was closed; NULL does nothing. Gives NULL. */
struct post_box *post_box_free(struct post_box *box);

/* Drops the callbacks of a loop that is being freed, and stops all of its timers. */
void callback_drop_all(struct weft_loop *loop);
