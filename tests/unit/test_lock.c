/* Threads that are cancelled while they are inside of weft: no lock stays taken, and what they were at is completed. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/context.h>
#include <weft/hooks.h>
#include <weft/log.h>

#include "context/async/code_address.h"
#include "context/async/operation.h"
#include "context/lock.h"
#include "context/log/log.h"
#include "tests/support/checker.h"

/* ---- A place where a thread is inside, and can be cancelled ---- */

static int entered[2], let_go[2];
static atomic_int completed;

/* read() and write() are cancellation points. */
static void stay_inside(void)
{
    char byte = 0;

    (void)!write(entered[1], &byte, 1);
    (void)!read(let_go[0], &byte, 1);
    (void)atomic_fetch_add(&completed, 1);
}

static void stay_in_sink(const struct log_record *record, void *user)
{
    (void)record;
    (void)user;
    stay_inside();
}

static int stay_in_resolver(const void *address, char *buffer)
{
    (void)address;
    stay_inside();
    (void)snprintf(buffer, CODE_ADDRESS_SIZE, "somewhere");
    return 0;
}

static int stay_in_visit(const struct operation *operation, void *arg)
{
    (void)operation;
    (void)arg;
    stay_inside();
    return 1;
}

/* ---- What is done there ---- */

static void log_a_line(void)
{
    weft_info("line");
}

static void log_a_long_line(void)
{
    weft_log(WEFT_INFO, "%6000d", 1);
}

static void log_fields(void)
{
    weft_log_with(WEFT_INFO, "line", WEFT_INT("number", 1));
}

static void describe_an_address(void)
{
    char buffer[CODE_ADDRESS_SIZE];
    static char place[64];
    static int next;

    /* One that is not known yet. */
    code_address_describe(&place[next++], buffer);
}

static void visit_operations(void)
{
    (void)operation_each(stay_in_visit, NULL);
}

static int type_of_cancellation;

static void *be_cancelled(void *arg)
{
    void (*act)(void) = *(void (**)(void))arg;
    int before;

    (void)pthread_setcanceltype(type_of_cancellation, &before);
    act();
    for (;;)
        (void)pause();
    return NULL;
}

static int start_thread(void *arg)
{
    void **args = arg;

    return pthread_create(args[0], NULL, be_cancelled, args[1]);
}

/* Cancels a thread inside of act(), and does the same again. Where a lock was left taken, this never ends. */
static void cancel_inside(void (*act)(void), int type)
{
    pthread_t thread;
    void *result;
    char byte = 0;

    type_of_cancellation = type;
    for (int time = 1; time <= 2; time++) {
        atomic_store(&completed, 0);
        assert_int_equal(weft_run_with("a", "1", start_thread, (void *[]){&thread, &act}), 0);
        assert_int_equal(read(entered[0], &byte, 1), 1);
        assert_int_equal(pthread_cancel(thread), 0);
        assert_int_equal(write(let_go[1], &byte, 1), 1);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_int_equal(atomic_load(&completed), 1);
    }
    assert_int_equal(weft_contexts_alive(), 0);
}

static void cancel_inside_all(int type)
{
    if (!CHECKER_KNOWS_CANCELLATION)
        skip();
    log_configure(&(struct log_options){.level = WEFT_INFO, .sink = stay_in_sink});
    cancel_inside(log_a_line, type);
    cancel_inside(log_a_long_line, type);
    cancel_inside(log_fields, type);
    log_configure(&(struct log_options){.level = WEFT_ERROR});
    code_address_resolve_with(stay_in_resolver);
    cancel_inside(describe_an_address, type);
    code_address_resolve_with(NULL);
    cancel_inside(visit_operations, type);
}

static void a_thread_that_is_cancelled_inside_leaves_no_lock_taken(void **state)
{
    (void)state;
    cancel_inside_all(PTHREAD_CANCEL_DEFERRED);
}

static void nor_does_one_that_may_be_cancelled_anywhere(void **state)
{
    (void)state;
    cancel_inside_all(PTHREAD_CANCEL_ASYNCHRONOUS);
}

/* ---- The state of cancellation is the thread's own ---- */

static void locks_leave_a_thread_as_cancellable_as_it_was(void **state)
{
    pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;
    const int states[] = {PTHREAD_CANCEL_ENABLE, PTHREAD_CANCEL_DISABLE};
    int now;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_setcancelstate(states[i], NULL), 0);
        lock_take(&outer);
        lock_take(&inner);
        lock_give(&outer); /* in any order */
        assert_int_equal(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &now), 0);
        assert_int_equal(now, PTHREAD_CANCEL_DISABLE);
        lock_give(&inner);
        assert_int_equal(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &now), 0);
        assert_int_equal(now, states[i]);
    }
}

/* ---- At any moment ---- */

static atomic_long lines;

static void count_line(const struct log_record *record, void *user)
{
    (void)record;
    (void)user;
    pthread_testcancel();
    (void)atomic_fetch_add(&lines, 1);
}

static int log_for_ever(void *arg)
{
    for (;;) {
        weft_info("line of %s", (const char *)arg);
        pthread_testcancel();
    }
    return 0;
}

static void *log_in_a_run(void *arg)
{
    (void)weft_run_with("a", "1", log_for_ever, arg);
    return NULL;
}

static void threads_that_log_can_be_cancelled_at_any_moment(void **state)
{
    enum { THREADS = 4, TIMES = 25 };
    static char name[] = "thread";
    pthread_t threads[THREADS];

    (void)state;
    if (!CHECKER_KNOWS_CANCELLATION)
        skip();
    log_configure(&(struct log_options){.level = WEFT_INFO, .sink = count_line});
    for (int time = 0; time < TIMES; time++) {
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, log_in_a_run, name), 0);
        (void)usleep((useconds_t)(rand() % 2000));
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_cancel(threads[i]), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        long before = atomic_load(&lines);
        weft_info("line");
        assert_int_equal(atomic_load(&lines), before + 1);
        assert_int_equal(weft_contexts_alive(), 0);
    }
}

static int make_pipes(void **state)
{
    (void)state;
    return pipe(entered) < 0 || pipe(let_go) < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_is_cancelled_inside_leaves_no_lock_taken),
        cmocka_unit_test(nor_does_one_that_may_be_cancelled_anywhere),
        cmocka_unit_test(locks_leave_a_thread_as_cancellable_as_it_was),
        cmocka_unit_test(threads_that_log_can_be_cancelled_at_any_moment),
    };

    return cmocka_run_group_tests(tests, make_pipes, NULL);
}
