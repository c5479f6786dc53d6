/* Turns at an output: one has it at a time, and those that are gone pass it on. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "context/time.h"
#include "daemon/log/log_turn.h"

static struct log_turn *begin(void)
{
    static uint64_t number;
    struct log_turn *turn;

    assert_int_equal(log_turn_new(1, ++number, &turn), 0);
    return turn;
}

/* What another process gets. */
static enum log_turn_state take_elsewhere(struct log_turn *turn, uint32_t id)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit((int)log_turn_take(turn, id));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return (enum log_turn_state)WEXITSTATUS(status);
}

static void a_turn_is_one_s_until_it_is_given(void **state)
{
    struct log_turn *turn = begin();

    (void)state;
    assert_int_equal(log_turn_take(turn, 1), LOG_TURN_TAKEN);
    assert_int_equal(log_turn_take(turn, 1), LOG_TURN_KEPT);
    assert_int_equal(log_turn_take(turn, 2), LOG_TURN_OTHERS);
    assert_int_equal(take_elsewhere(turn, 3), LOG_TURN_OTHERS);
    assert_int_equal(take_elsewhere(turn, 0), LOG_TURN_OTHERS);
    log_turn_give(turn);
    assert_int_equal(log_turn_take(turn, 2), LOG_TURN_TAKEN);
    (void)log_turn_unref(turn);
}

static void the_same_output_has_one_turn_and_others_have_others(void **state)
{
    struct log_turn *one, *again, *other;

    (void)state;
    assert_int_equal(log_turn_new(7, 8, &one), 0);
    assert_int_equal(log_turn_new(7, 8, &again), 0);
    assert_int_equal(log_turn_new(8, 7, &other), 0);
    assert_ptr_equal(one, again);
    assert_ptr_not_equal(one, other);
    log_turn_set_gone(one, true);
    (void)log_turn_unref(one);
    assert_true(log_turn_is_gone(again));
    (void)log_turn_unref(again);
    /* The last user takes what is known of it along. */
    assert_int_equal(log_turn_new(7, 8, &one), 0);
    assert_false(log_turn_is_gone(one));
    (void)log_turn_unref(one);
    (void)log_turn_unref(other);
}

static void whoever_has_the_buffers_of_one_that_is_gone_ends_its_line(void **state)
{
    struct log_turn *turn = begin();

    (void)state;
    assert_int_equal(take_elsewhere(turn, 5), LOG_TURN_TAKEN);
    assert_int_equal(log_turn_take(turn, 5), LOG_TURN_KEPT);
    assert_false(log_turn_is_torn(turn));
    (void)log_turn_unref(turn);
}

static void a_line_that_is_given_up_is_torn_and_the_next_one_is_told_once(void **state)
{
    struct log_turn *turn = begin();

    (void)state;
    assert_int_equal(take_elsewhere(turn, 5), LOG_TURN_TAKEN);
    log_turn_abandon(turn, 6);
    assert_int_equal(log_turn_take(turn, 7), LOG_TURN_OTHERS);
    log_turn_abandon(turn, 5);
    assert_int_equal(log_turn_take(turn, 7), LOG_TURN_TAKEN);
    assert_true(log_turn_is_torn(turn));
    assert_false(log_turn_is_torn(turn));
    (void)log_turn_unref(turn);
}

static void one_that_is_gone_and_that_nobody_follows_loses_its_turn_after_a_while(void **state)
{
    struct log_turn *turn = begin();
    int64_t began_us = time_steady_us();

    (void)state;
    assert_int_equal(take_elsewhere(turn, 0), LOG_TURN_TAKEN);
    while (log_turn_take(turn, 9) != LOG_TURN_TAKEN) {
        assert_true(time_steady_us() - began_us < 60 * INT64_C(1000000));
        (void)usleep(10000);
    }
    assert_true(log_turn_is_torn(turn));
    (void)log_turn_unref(turn);
}

/* A process that has taken the turn, and lives until it is ended. */
static pid_t start_holder(struct log_turn *turn, uint32_t id)
{
    int ready[2];
    char answer = 0;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        answer = (char)log_turn_take(turn, id);
        (void)!write(ready[1], &answer, 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, LOG_TURN_TAKEN);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static void end_holder(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Longer than a turn is left to one that is gone. */
static void pass_time(void)
{
    (void)usleep(2500 * 1000);
}

static void one_that_is_there_keeps_its_turn_for_as_long_as_it_needs(void **state)
{
    struct log_turn *turn = begin();
    pid_t holder = start_holder(turn, 0);

    (void)state;
    assert_int_equal(log_turn_take(turn, 9), LOG_TURN_OTHERS);
    pass_time();
    assert_int_equal(log_turn_take(turn, 9), LOG_TURN_OTHERS);
    end_holder(holder);
    /* Its time begins when its death is seen. */
    assert_int_equal(log_turn_take(turn, 9), LOG_TURN_OTHERS);
    pass_time();
    assert_int_equal(log_turn_take(turn, 9), LOG_TURN_TAKEN);
    assert_true(log_turn_is_torn(turn));
    (void)log_turn_unref(turn);
}

static void the_death_of_an_earlier_one_does_not_shorten_the_time_of_the_next(void **state)
{
    struct log_turn *turn = begin();

    (void)state;
    assert_int_equal(take_elsewhere(turn, 5), LOG_TURN_TAKEN);
    assert_int_equal(log_turn_take(turn, 9), LOG_TURN_OTHERS);
    /* The supervisor ends the line. */
    assert_int_equal(log_turn_take(turn, 5), LOG_TURN_KEPT);
    log_turn_give(turn);
    pass_time();
    assert_int_equal(take_elsewhere(turn, 6), LOG_TURN_TAKEN);
    assert_int_equal(log_turn_take(turn, 9), LOG_TURN_OTHERS);
    assert_int_equal(log_turn_take(turn, 6), LOG_TURN_KEPT);
    assert_false(log_turn_is_torn(turn));
    (void)log_turn_unref(turn);
}

static void the_end_of_an_output_is_told_by_one_of_all_processes(void **state)
{
    struct log_turn *turn = begin();

    (void)state;
    assert_false(log_turn_is_to_tell(turn));
    log_turn_set_gone(turn, true);
    assert_true(log_turn_is_to_tell(turn));
    assert_false(log_turn_is_to_tell(turn));
    log_turn_set_gone(turn, false);
    assert_false(log_turn_is_to_tell(turn));
    log_turn_set_gone(turn, true);
    assert_true(log_turn_is_to_tell(turn));
    (void)log_turn_unref(turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_is_one_s_until_it_is_given),
        cmocka_unit_test(the_same_output_has_one_turn_and_others_have_others),
        cmocka_unit_test(whoever_has_the_buffers_of_one_that_is_gone_ends_its_line),
        cmocka_unit_test(a_line_that_is_given_up_is_torn_and_the_next_one_is_told_once),
        cmocka_unit_test(one_that_is_gone_and_that_nobody_follows_loses_its_turn_after_a_while),
        cmocka_unit_test(one_that_is_there_keeps_its_turn_for_as_long_as_it_needs),
        cmocka_unit_test(the_death_of_an_earlier_one_does_not_shorten_the_time_of_the_next),
        cmocka_unit_test(the_end_of_an_output_is_told_by_one_of_all_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
