/* Buffers in plain libevent: callbacks, and what they call when they no longer need something. C41, C63, failure
 * mode 6. */
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/buffer_compat.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "tests/conformance/harness.h"
#include "tests/support/plain_libevent.h"

struct watch {
    struct evbuffer *buffer;
    struct evbuffer_cb_entry *entry;
    const char *wanted;
    char letter;
};

static void note_change(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    const struct watch *watch = arg;

    EXPECT(buffer == watch->buffer);
    EXPECT(info->n_added > 0 || info->n_deleted > 0);
    look(watch->letter, watch->wanted);
}

static int watch_it(void *arg)
{
    struct watch *watch = arg;

    watch->entry = evbuffer_add_cb(watch->buffer, note_change, watch);
    EXPECT(watch->entry != NULL);
    return 0;
}

static int add_to(void *buffer)
{
    EXPECT_EQUAL(evbuffer_add(buffer, "hello", 5), 0);
    EXPECT_TEXT(weft_get("a"), "writer");
    return 0;
}

static struct evbuffer *begin(void)
{
    trace_clear();
    return evbuffer_new();
}

/* ---- C41: callbacks ---- */

/* The one place where Node's emitters differ: their listeners see who emits. A buffer's callbacks were registered, and
 * see who registered them. */
static void c41_callbacks_see_the_context_that_added_them_whoever_changes_the_buffer(void)
{
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'}, two = {buffer, NULL, "2", '2'}, none = {buffer, NULL, NULL, '0'};

    with("1", watch_it, &one);
    with("2", watch_it, &two);
    with(NULL, watch_it, &none);
    with("writer", add_to, buffer);
    EXPECT_TEXT(trace, "021");
    EXPECT_EQUAL(evbuffer_drain(buffer, 5), 0);
    EXPECT_TEXT(trace, "021021");
    EXPECT(is_awaited("buffer callback"));
    evbuffer_free(buffer);
    EXPECT(!is_awaited("buffer callback"));
}

static void c41_callbacks_are_removed_by_function_or_by_entry(void)
{
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'}, two = {buffer, NULL, "2", '2'}, none = {buffer, NULL, NULL, '0'};
    long before = weft_contexts_alive();

    with("1", watch_it, &one);
    with("2", watch_it, &two);
    with(NULL, watch_it, &none);
    EXPECT_EQUAL(weft_contexts_alive(), before + 2);
    EXPECT_EQUAL(evbuffer_remove_cb(buffer, note_change, &one), 0);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    EXPECT_EQUAL(evbuffer_remove_cb(buffer, note_change, &one), -1);
    EXPECT_EQUAL(evbuffer_remove_cb_entry(buffer, two.entry), 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    with("writer", add_to, buffer);
    EXPECT_EQUAL(evbuffer_remove_cb(buffer, note_change, &none), 0);
    with("writer", add_to, buffer);
    EXPECT_TEXT(trace, "0");
    evbuffer_free(buffer);
}

static void c41_a_callback_that_is_disabled_is_not_called_and_keeps_its_context(void)
{
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'};

    with("1", watch_it, &one);
    EXPECT_EQUAL(evbuffer_cb_clear_flags(buffer, one.entry, EVBUFFER_CB_ENABLED), 0);
    with("writer", add_to, buffer);
    EXPECT_TEXT(trace, "");
    EXPECT_EQUAL(evbuffer_cb_set_flags(buffer, one.entry, EVBUFFER_CB_ENABLED), 0);
    with("writer", add_to, buffer);
    EXPECT_TEXT(trace, "1");
    evbuffer_free(buffer);
}

static void note_and_remove(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct watch *watch = arg;

    (void)info;
    look(watch->letter, watch->wanted);
    EXPECT_EQUAL(evbuffer_remove_cb(buffer, note_and_remove, watch), 0);
    look('.', watch->wanted);
}

static int watch_once(void *arg)
{
    struct watch *watch = arg;

    EXPECT(evbuffer_add_cb(watch->buffer, note_and_remove, watch) != NULL);
    return 0;
}

static void c41_a_callback_may_remove_itself(void)
{
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'}, two = {buffer, NULL, "2", '2'};
    long before = weft_contexts_alive();

    with("1", watch_it, &one);
    with("2", watch_once, &two);
    with("writer", add_to, buffer);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    with("writer", add_to, buffer);
    EXPECT_TEXT(trace, "2.11");
    evbuffer_free(buffer);
}

static void note_old_style(struct evbuffer *buffer, size_t old_length, size_t length, void *arg)
{
    const struct watch *watch = arg;

    EXPECT(buffer == watch->buffer);
    EXPECT_EQUAL(length, old_length + 5);
    look(watch->letter, watch->wanted);
}

static int watch_in_the_old_style(void *arg)
{
    struct watch *watch = arg;

    return evbuffer_setcb(watch->buffer, note_old_style, watch);
}

static void c41_a_callback_in_the_old_style_takes_the_place_of_all(void)
{
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'}, two = {buffer, NULL, "2", '2'}, none = {buffer, NULL, NULL, '0'};
    long before = weft_contexts_alive();

    with("1", watch_it, &one);
    with("2", watch_in_the_old_style, &two);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    with("writer", add_to, buffer);
    with(NULL, watch_in_the_old_style, &none);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    with("writer", add_to, buffer);
    EXPECT_EQUAL(evbuffer_setcb(buffer, NULL, NULL), 0);
    with("writer", add_to, buffer);
    EXPECT_TEXT(trace, "20");
    evbuffer_free(buffer);
}

/* ---- C41: callbacks that a loop calls ---- */

static void c41_callbacks_that_are_put_off_see_the_context_that_added_them(void)
{
    struct event_base *base = event_base_new();
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'}, none = {buffer, NULL, NULL, '0'};

    EXPECT_EQUAL(evbuffer_defer_callbacks(buffer, base), 0);
    with("1", watch_it, &one);
    with(NULL, watch_it, &none);
    with("writer", add_to, buffer);
    EXPECT_TEXT(trace, "");
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    EXPECT_TEXT(trace, "01");
    evbuffer_free(buffer);
    event_base_free(base);
}

static void c41_they_are_called_even_if_the_buffer_is_freed_before(void)
{
    struct event_base *base = event_base_new();
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'};
    long before = weft_contexts_alive();

    EXPECT_EQUAL(evbuffer_defer_callbacks(buffer, base), 0);
    with("1", watch_it, &one);
    with("writer", add_to, buffer);
    evbuffer_free(buffer);
    EXPECT_EQUAL(event_base_dispatch(base), 1);
    EXPECT_TEXT(trace, "1");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    event_base_free(base);
}

static void c63_they_hold_nothing_when_the_loop_is_gone_before_it_called_them(void)
{
    struct event_base *base = event_base_new();
    struct evbuffer *buffer = begin();
    struct watch one = {buffer, NULL, "1", '1'};
    long before = weft_contexts_alive();

    EXPECT_EQUAL(evbuffer_defer_callbacks(buffer, base), 0);
    with("1", watch_it, &one);
    evbuffer_free(buffer);
    event_base_free(base);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

/* The buffers of a bufferevent are freed by the loop, or with the base. */
static void c63_those_of_a_bufferevent_hold_nothing_when_it_is_freed_with_its_base(void)
{
    struct event_base *base = event_base_new();
    struct bufferevent *bufferevent = bufferevent_socket_new(base, -1, 0);
    struct evbuffer *buffer = bufferevent_get_output(bufferevent);
    struct watch one = {buffer, NULL, "1", '1'};
    long before = weft_contexts_alive();

    EXPECT_EQUAL(evbuffer_defer_callbacks(buffer, base), 0);
    with("1", watch_it, &one);
    bufferevent_free(bufferevent);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    event_base_free(base);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

/* ---- C63, failure 6: what was lent to a buffer ---- */

struct loan {
    struct evbuffer *buffer;
    const char *wanted;
    char letter;
};

static const char lent[] = "lent";

static void take_back(const void *data, size_t size, void *arg)
{
    const struct loan *loan = arg;

    EXPECT(data == lent);
    EXPECT_EQUAL(size, sizeof(lent));
    look(loan->letter, loan->wanted);
}

static int lend(void *arg)
{
    struct loan *loan = arg;

    return evbuffer_add_reference(loan->buffer, lent, sizeof(lent), take_back, loan);
}

static int drain(void *buffer)
{
    EXPECT_EQUAL(evbuffer_drain(buffer, sizeof(lent)), 0);
    EXPECT_TEXT(weft_get("a"), "reader");
    return 0;
}

static void c63_failure_6_memory_is_taken_back_once_in_the_context_that_lent_it(void)
{
    struct evbuffer *buffer = begin(), *next = evbuffer_new();
    struct loan one = {buffer, "1", '1'}, none = {buffer, NULL, '0'}, two = {buffer, "2", '2'};
    long before = weft_contexts_alive();

    with("1", lend, &one);
    with(NULL, lend, &none);
    with("2", lend, &two);
    EXPECT(is_awaited("buffer cleanup"));
    EXPECT_EQUAL(evbuffer_add_buffer(next, buffer), 0);
    EXPECT_EQUAL(weft_contexts_alive(), before + 2);
    with("reader", drain, next);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    with("reader", drain, next);
    EXPECT_TEXT(trace, "10");
    evbuffer_free(next);
    EXPECT_TEXT(trace, "102");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    evbuffer_free(buffer);
}

static int lend_in_vain(void *arg)
{
    EXPECT_EQUAL(lend(arg), -1);
    return 0;
}

static void c63_memory_that_was_refused_is_not_taken_back(void)
{
    struct evbuffer *buffer = begin();
    struct loan one = {buffer, "1", '1'};
    long before = weft_contexts_alive();

    EXPECT_EQUAL(evbuffer_freeze(buffer, 0), 0);
    with("1", lend_in_vain, &one);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    evbuffer_free(buffer);
    EXPECT_TEXT(trace, "");
}

static struct evbuffer_file_segment *segment_of_a_file(void)
{
    FILE *file = tmpfile();

    EXPECT_EQUAL(fwrite(lent, sizeof(lent), 1, file), 1);
    EXPECT_EQUAL(fflush(file), 0);
    int fd = dup(fileno(file));
    EXPECT_EQUAL(fclose(file), 0);
    return evbuffer_file_segment_new(fd, 0, sizeof(lent), EVBUF_FS_CLOSE_ON_FREE);
}

struct file_loan {
    struct evbuffer_file_segment *segment;
    const char *wanted;
    char letter;
};

static void take_file_back(const struct evbuffer_file_segment *segment, int flags, void *arg)
{
    const struct file_loan *loan = arg;

    EXPECT(segment == loan->segment);
    EXPECT_EQUAL(flags, EVBUF_FS_CLOSE_ON_FREE);
    look(loan->letter, loan->wanted);
}

static int want_file_back(void *arg)
{
    struct file_loan *loan = arg;

    evbuffer_file_segment_add_cleanup_cb(loan->segment, take_file_back, loan);
    return 0;
}

/* The last who asks to be told is who is told. */
static void have_file_back(const char *first, const char *second)
{
    struct evbuffer *buffer = begin();
    struct evbuffer_file_segment *segment = segment_of_a_file();
    struct file_loan one = {segment, first, '1'}, two = {segment, second, '2'};
    long before = weft_contexts_alive();

    with(first, want_file_back, &one);
    with(second, want_file_back, &two);
    EXPECT_EQUAL(weft_contexts_alive(), before + (second ? 1 : 0));
    EXPECT_EQUAL(evbuffer_add_file_segment(buffer, segment, 0, -1), 0);
    evbuffer_file_segment_free(segment);
    EXPECT_TEXT(trace, "");
    with("reader", drain, buffer);
    EXPECT_TEXT(trace, "2");
    EXPECT_EQUAL(weft_contexts_alive(), before);
    evbuffer_free(buffer);
}

static void c63_failure_6_a_file_is_taken_back_once_in_the_context_that_asked(void)
{
    have_file_back("1", "2");
    have_file_back("1", NULL);
    have_file_back(NULL, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c41_callbacks_see_the_context_that_added_them_whoever_changes_the_buffer),
        CONFORMANCE_CASE(c41_callbacks_are_removed_by_function_or_by_entry),
        CONFORMANCE_CASE(c41_a_callback_that_is_disabled_is_not_called_and_keeps_its_context),
        CONFORMANCE_CASE(c41_a_callback_may_remove_itself),
        CONFORMANCE_CASE(c41_a_callback_in_the_old_style_takes_the_place_of_all),
        CONFORMANCE_CASE(c41_callbacks_that_are_put_off_see_the_context_that_added_them),
        CONFORMANCE_CASE(c41_they_are_called_even_if_the_buffer_is_freed_before),
        CONFORMANCE_CASE(c63_they_hold_nothing_when_the_loop_is_gone_before_it_called_them),
        CONFORMANCE_CASE(c63_those_of_a_bufferevent_hold_nothing_when_it_is_freed_with_its_base),
        CONFORMANCE_CASE(c63_failure_6_memory_is_taken_back_once_in_the_context_that_lent_it),
        CONFORMANCE_CASE(c63_memory_that_was_refused_is_not_taken_back),
        CONFORMANCE_CASE(c63_failure_6_a_file_is_taken_back_once_in_the_context_that_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
