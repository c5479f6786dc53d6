/* The loop's turns: bounded in time, whatever is ready, and in order all the same. */
#include <unistd.h>

#include "context/task/task.h"
#include "context/time.h"
#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

/* Longer than any slice, by whichever clock the loop goes. */
enum { LONG_US = 6 * LOOP_SLICE_US };

static void keep_the_loop(void)
{
    int64_t until_us = time_steady_us() + LONG_US;

    while (time_steady_us() < until_us)
        continue;
}

/* ---- Descriptors between slices ---- */

static void note_readable(evutil_socket_t fd, short what, void *arg)
{
    char byte;

    (void)what;
    (void)arg;
    EXPECT_EQUAL(read(fd, &byte, 1), 1);
    trace_add(byte);
}

static int pipe_ends[2];

static void pipe_begin(void)
{
    assert_int_equal(pipe(pipe_ends), 0);
}

/* An event that frees itself: the base is gone when the test looks at the trace. */
static void notice_once(struct event_base *base)
{
    assert_int_equal(event_base_once(base, pipe_ends[0], EV_READ, note_readable, NULL, NULL), 0);
}

static void pipe_end(void)
{
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
}

static int note(void *letter)
{
    trace_add(*(char *)letter);
    return 0;
}

static int write_and_keep_the_loop(void *letter)
{
    EXPECT_EQUAL(write(pipe_ends[1], "!", 1), 1);
    keep_the_loop();
    return note(letter);
}

static char letters[] = "abcdefgh";

static void a_descriptor_is_served_between_a_long_task_and_the_next(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    trace_clear();
    pipe_begin();
    notice_once(support.base);
    EXPECT(weft_spawn("a", note, &letters[0]) != NULL);
    EXPECT(weft_spawn("b", write_and_keep_the_loop, &letters[1]) != NULL);
    EXPECT(weft_spawn("c", note, &letters[2]) != NULL);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "ab!c");
    pipe_end();
}

static void note_called(void *letter)
{
    (void)write_and_keep_the_loop(letter);
}

static void a_descriptor_is_served_between_callbacks(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    trace_clear();
    pipe_begin();
    notice_once(support.base);
    EXPECT_EQUAL(weft_call_soon(note_called, &letters[0]), 0);
    EXPECT(weft_spawn("b", note, &letters[1]) != NULL);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "a!b");
    pipe_end();
}

struct slow_timer {
    struct timer timer; /* first */
    char *letter;
};

static void fire_slowly(struct timer *timer)
{
    (void)write_and_keep_the_loop(((struct slow_timer *)timer)->letter);
}

static void a_descriptor_is_served_between_timers_that_are_due_at_once(void **state)
{
    struct loop_support support = loop_support_begin();
    struct slow_timer timers[3];
    int64_t deadline_us = time_steady_us();

    (void)state;
    trace_clear();
    pipe_begin();
    struct event *event = event_new(support.base, pipe_ends[0], EV_READ | EV_PERSIST, note_readable, NULL);
    assert_non_null(event);
    (void)event_add(event, NULL);
    for (size_t i = 0; i < 3; i++) {
        timers[i] = (struct slow_timer){.timer.fire = fire_slowly, .letter = &letters[i]};
        EXPECT_EQUAL(loop_start_timer(support.loop, &timers[i].timer, deadline_us), 0);
    }
    for (int turn = 0; turn < 100 && strlen(trace) < 6; turn++)
        EXPECT(event_base_loop(support.base, EVLOOP_ONCE) >= 0);
    EXPECT_TEXT(trace, "a!b!c!");
    event_free(event);
    loop_support_end(&support);
    pipe_end();
}

/* ---- Order ---- */

static int spawn_late_and_keep_the_loop(void *letter)
{
    EXPECT(weft_spawn("late", note, &letters[7]) != NULL);
    keep_the_loop();
    return note(letter);
}

static int keep_the_loop_and_note(void *letter)
{
    keep_the_loop();
    return note(letter);
}

static void what_is_put_back_keeps_its_order_before_what_became_ready_meanwhile(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    trace_clear();
    EXPECT(weft_spawn("a", note, &letters[0]) != NULL);
    EXPECT(weft_spawn("b", spawn_late_and_keep_the_loop, &letters[1]) != NULL);
    EXPECT(weft_spawn("c", note, &letters[2]) != NULL);
    EXPECT(weft_spawn("d", keep_the_loop_and_note, &letters[3]) != NULL);
    EXPECT(weft_spawn("e", note, &letters[4]) != NULL);
    EXPECT(weft_spawn("f", note, &letters[5]) != NULL);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "abcdefh");
}

static void a_long_task_at_the_end_of_the_list_leaves_nothing_behind(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    trace_clear();
    EXPECT(weft_spawn("a", note, &letters[0]) != NULL);
    EXPECT(weft_spawn("b", spawn_late_and_keep_the_loop, &letters[1]) != NULL);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "abh");
    EXPECT_EQUAL(weft_tasks_alive(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_descriptor_is_served_between_a_long_task_and_the_next),
        EXPECT_TEST(a_descriptor_is_served_between_callbacks),
        EXPECT_TEST(a_descriptor_is_served_between_timers_that_are_due_at_once),
        EXPECT_TEST(what_is_put_back_keeps_its_order_before_what_became_ready_meanwhile),
        EXPECT_TEST(a_long_task_at_the_end_of_the_list_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
