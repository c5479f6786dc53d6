/* Bufferevents that are called at once, by whoever writes or triggers: filters, pairs and triggers. C41, C63. */
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "tests/conformance/harness.h"
#include "tests/support/plain_libevent.h"

/* A filter on a pair: what its functions, and its callbacks, are to see. */
struct filtered {
    struct event_base *base;
    struct bufferevent *pair[2];
    struct bufferevent *filter;
    const char *functions_wanted, *callbacks_wanted;
};

static struct filtered begin(const char *functions_wanted, const char *callbacks_wanted)
{
    struct filtered filtered = {
        .base = event_base_new(), .functions_wanted = functions_wanted, .callbacks_wanted = callbacks_wanted};

    trace_clear();
    EXPECT_EQUAL(bufferevent_pair_new(filtered.base, 0, filtered.pair), 0);
    return filtered;
}

static void turn(const struct filtered *filtered)
{
    EXPECT(event_base_loop(filtered->base, EVLOOP_NONBLOCK) >= 0);
}

static void finish(struct filtered *filtered)
{
    if (filtered->filter)
        bufferevent_free(filtered->filter);
    else
        bufferevent_free(filtered->pair[0]);
    bufferevent_free(filtered->pair[1]);
    event_base_free(filtered->base);
}

/* ---- Filters ---- */

static enum bufferevent_filter_result pass_on(struct evbuffer *source, struct evbuffer *destination, ev_ssize_t limit)
{
    size_t size = evbuffer_get_length(source);

    if (limit >= 0 && (size_t)limit < size)
        size = (size_t)limit;
    return evbuffer_remove_buffer(source, destination, size) >= 0 ? BEV_OK : BEV_ERROR;
}

static enum bufferevent_filter_result pass_in(struct evbuffer *source, struct evbuffer *destination, ev_ssize_t limit,
                                              enum bufferevent_flush_mode mode, void *arg)
{
    (void)mode;
    look('i', ((struct filtered *)arg)->functions_wanted);
    return pass_on(source, destination, limit);
}

static enum bufferevent_filter_result pass_out(struct evbuffer *source, struct evbuffer *destination, ev_ssize_t limit,
                                               enum bufferevent_flush_mode mode, void *arg)
{
    (void)mode;
    look('o', ((struct filtered *)arg)->functions_wanted);
    return pass_on(source, destination, limit);
}

static void free_filter(void *arg)
{
    look('f', ((struct filtered *)arg)->functions_wanted);
}

static void note_read(struct bufferevent *bufferevent, void *arg)
{
    (void)evbuffer_drain(bufferevent_get_input(bufferevent), SIZE_MAX);
    look('r', ((struct filtered *)arg)->callbacks_wanted);
}

static void note_write(struct bufferevent *bufferevent, void *arg)
{
    (void)bufferevent;
    look('w', ((struct filtered *)arg)->callbacks_wanted);
}

static void note_event(struct bufferevent *bufferevent, short what, void *arg)
{
    (void)bufferevent;
    (void)what;
    look('e', ((struct filtered *)arg)->callbacks_wanted);
}

static int filter_it(void *arg)
{
    struct filtered *filtered = arg;

    filtered->filter =
        bufferevent_filter_new(filtered->pair[0], pass_in, pass_out, BEV_OPT_CLOSE_ON_FREE, free_filter, filtered);
    EXPECT(filtered->filter != NULL);
    return 0;
}

static int set_callbacks(void *arg)
{
    struct filtered *filtered = arg;
    struct bufferevent *bufferevent = filtered->filter ? filtered->filter : filtered->pair[0];

    bufferevent_setcb(bufferevent, note_read, note_write, note_event, filtered);
    return bufferevent_enable(bufferevent, EV_READ | EV_WRITE);
}

static int write_to_filter(void *arg)
{
    EXPECT_EQUAL(bufferevent_write(((struct filtered *)arg)->filter, "hello", 5), 0);
    EXPECT_TEXT(weft_get("a"), "writer");
    return 0;
}

static int write_to_peer(void *arg)
{
    struct filtered *filtered = arg;

    EXPECT_EQUAL(bufferevent_enable(filtered->pair[1], EV_READ | EV_WRITE), 0);
    return bufferevent_write(filtered->pair[1], "world", 5);
}

/* The functions see whoever made the filter, the callbacks whoever set them; who writes is of no importance. */
static void filter_for(const char *maker, const char *setter)
{
    struct filtered filtered = begin(maker, setter);
    long before = weft_contexts_alive();

    with(maker, filter_it, &filtered);
    with(setter, set_callbacks, &filtered);
    with("writer", write_to_peer, &filtered);
    with("writer", write_to_filter, &filtered);
    EXPECT_TEXT(trace, "ow");
    turn(&filtered);
    EXPECT_TEXT(trace, "owir");
    EXPECT_EQUAL(is_awaited("bufferevent filter"), maker != NULL);
    bufferevent_free(filtered.filter);
    filtered.filter = NULL;
    turn(&filtered);
    EXPECT_TEXT(trace, "owirf");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    bufferevent_free(filtered.pair[1]);
    event_base_free(filtered.base);
}

static void c41_the_functions_of_a_filter_see_the_context_that_made_it(void)
{
    filter_for("1", "2");
}

static void c41_those_of_the_root_run_at_the_root_though_a_job_writes(void)
{
    filter_for(NULL, "2");
    filter_for("1", NULL);
    filter_for(NULL, NULL);
}

static int filter_without_functions(void *arg)
{
    struct filtered *filtered = arg;

    filtered->filter =
        bufferevent_filter_new(filtered->pair[0], NULL, NULL, BEV_OPT_CLOSE_ON_FREE, free_filter, filtered);
    EXPECT(filtered->filter != NULL);
    EXPECT(bufferevent_filter_new(NULL, NULL, NULL, 0, free_filter, filtered) == NULL);
    return 0;
}

static void c41_a_filter_without_functions_passes_on_and_is_freed_in_its_context(void)
{
    struct filtered filtered = begin("1", "2");

    with("1", filter_without_functions, &filtered);
    with("2", set_callbacks, &filtered);
    with("writer", write_to_peer, &filtered);
    turn(&filtered);
    EXPECT_TEXT(trace, "r");
    /* Freed with the base, which is the last that may call it. */
    finish(&filtered);
    EXPECT_TEXT(trace, "rf");
}

static void c63_what_is_put_under_a_filter_holds_nothing_of_who_used_it_before(void)
{
    struct filtered filtered = begin(NULL, "1");
    long before = weft_contexts_alive();

    with("1", set_callbacks, &filtered);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    with(NULL, filter_it, &filtered);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    finish(&filtered);
}

/* ---- Triggers ---- */

static int trigger_all(void *arg)
{
    struct filtered *filtered = arg;

    bufferevent_trigger(filtered->filter, EV_READ | EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS);
    bufferevent_trigger_event(filtered->filter, BEV_EVENT_CONNECTED, 0);
    EXPECT_TEXT(weft_get("a"), "2");
    return 0;
}

static void trigger_for(const char *setter)
{
    struct filtered filtered = begin(NULL, setter);

    with(NULL, filter_it, &filtered);
    with(setter, set_callbacks, &filtered);
    with("2", trigger_all, &filtered);
    EXPECT_TEXT(trace, "rwe");
    finish(&filtered);
}

static void c41_callbacks_see_the_context_that_set_them_whoever_triggers_them(void)
{
    trigger_for("1");
    trigger_for(NULL);
}

/* ---- Pairs ---- */

static int set_on_peer(void *arg)
{
    struct filtered *filtered = arg;

    bufferevent_setcb(filtered->pair[1], note_read, note_write, note_event, filtered);
    return bufferevent_enable(filtered->pair[1], EV_READ | EV_WRITE);
}

static int write_to_first(void *arg)
{
    return bufferevent_write(((struct filtered *)arg)->pair[0], "hello", 5);
}

static int ignore_first(void *arg)
{
    bufferevent_setcb(((struct filtered *)arg)->pair[0], NULL, NULL, NULL, NULL);
    return 0;
}

static void c41_each_end_of_a_pair_sees_the_context_that_set_its_callbacks(void)
{
    struct filtered filtered = begin(NULL, NULL);

    with("1", set_callbacks, &filtered);
    EXPECT(is_awaited("bufferevent: read, write"));
    with("1", ignore_first, &filtered);
    with(NULL, set_on_peer, &filtered);
    with("2", write_to_first, &filtered);
    turn(&filtered);
    EXPECT_TEXT(trace, "r");
    filtered.callbacks_wanted = "3";
    with("3", set_on_peer, &filtered);
    with("2", write_to_first, &filtered);
    turn(&filtered);
    EXPECT_TEXT(trace, "rr");
    finish(&filtered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c41_the_functions_of_a_filter_see_the_context_that_made_it),
        CONFORMANCE_CASE(c41_those_of_the_root_run_at_the_root_though_a_job_writes),
        CONFORMANCE_CASE(c41_a_filter_without_functions_passes_on_and_is_freed_in_its_context),
        CONFORMANCE_CASE(c63_what_is_put_under_a_filter_holds_nothing_of_who_used_it_before),
        CONFORMANCE_CASE(c41_callbacks_see_the_context_that_set_them_whoever_triggers_them),
        CONFORMANCE_CASE(c41_each_end_of_a_pair_sees_the_context_that_set_its_callbacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
