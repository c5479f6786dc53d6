/* Filters: their functions run in the context of the bufferevent_filter_new() that they were given to. */
#include <event2/bufferevent.h>

#include "context/propagate/libevent/bufferevent.h"
#include "context/propagate/linked.h"
#include "context/propagate/wrapped_callback.h"

PROPAGATE_LINKED(filters);

struct filter {
    struct wrapped_callback wrapped;
    bufferevent_filter_cb input;
    bufferevent_filter_cb output;
    void (*free_user)(void *user);
    void *user;
};

static const struct operation_class filter_class = {.kind = "bufferevent filter"};

static enum bufferevent_filter_result run_filter(struct filter *filter, bufferevent_filter_cb function,
                                                 struct evbuffer *source, struct evbuffer *destination,
                                                 ev_ssize_t limit, enum bufferevent_flush_mode mode)
{
    struct current saved;

    wrapped_callback_enter(&filter->wrapped, &saved);
    enum bufferevent_filter_result result = function(source, destination, limit, mode, filter->user);
    wrapped_callback_leave(&filter->wrapped, &saved);
    return result;
}

static enum bufferevent_filter_result run_input(struct evbuffer *source, struct evbuffer *destination, ev_ssize_t limit,
                                                enum bufferevent_flush_mode mode, void *arg)
{
    struct filter *filter = arg;

    return run_filter(filter, filter->input, source, destination, limit, mode);
}

static enum bufferevent_filter_result run_output(struct evbuffer *source, struct evbuffer *destination,
                                                 ev_ssize_t limit, enum bufferevent_flush_mode mode, void *arg)
{
    struct filter *filter = arg;

    return run_filter(filter, filter->output, source, destination, limit, mode);
}

/* The last that libevent calls, and the only sign that the others are over. */
static void run_free(void *arg)
{
    struct filter *filter = arg;
    struct current saved;

    wrapped_callback_enter(&filter->wrapped, &saved);
    if (filter->free_user)
        filter->free_user(filter->user);
    wrapped_callback_leave(&filter->wrapped, &saved);
    wrapped_callback_drop(&filter->wrapped);
}

static struct filter *filter_new(struct bufferevent *underlying, bufferevent_filter_cb input,
                                 bufferevent_filter_cb output, void (*free_user)(void *user), void *user,
                                 const void *place)
{
    if (propagate_exempts((void *)input) && propagate_exempts((void *)output) && propagate_exempts((void *)free_user))
        return NULL;

    struct filter *filter =
        wrapped_callback_new(sizeof(*filter), &filter_class, REAL(bufferevent_get_base)(underlying), place);
    if (!filter)
        return NULL;
    filter->input = input;
    filter->output = output;
    filter->free_user = free_user;
    filter->user = user;
    return filter;
}

PROPAGATE_EXPORT struct bufferevent *bufferevent_filter_new(struct bufferevent *underlying, bufferevent_filter_cb input,
                                                            bufferevent_filter_cb output, int options,
                                                            void (*free_user)(void *user), void *user)
{
    struct filter *filter =
        underlying ? filter_new(underlying, input, output, free_user, user, OPERATION_PLACE()) : NULL;

    /* The filter's own callbacks take the place of those that the bufferevent below has. */
    struct wrapped_callback *replaced = underlying ? bufferevent_hold_callbacks(underlying) : NULL;
    struct bufferevent *bufferevent =
        filter ? REAL(bufferevent_filter_new)(underlying, input ? run_input : NULL, output ? run_output : NULL, options,
                                              run_free, filter)
               : REAL(bufferevent_filter_new)(underlying, input, output, options, free_user, user);
    bufferevent_let_callbacks_go(replaced, underlying);
    if (!bufferevent && filter)
        wrapped_callback_drop(&filter->wrapped);
    return bufferevent;
}
