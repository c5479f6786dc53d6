/* weft_post(): the way back into a loop from any thread. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context/fork_guard.h"
#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

static char letters[] = "abcdefgh";
static pthread_t loop_thread;

static void note(void *letter)
{
    EXPECT(pthread_equal(pthread_self(), loop_thread));
    trace_add(*(char *)letter);
}

static int prepare(void **state)
{
    (void)state;
    loop_thread = pthread_self();
    trace_clear();
    return 0;
}

/* ---- Before and after ---- */

/* First of all: no loop has been made in this process. */
static void nothing_can_be_posted_before_there_is_a_loop(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_post(NULL, note, letters), -EPERM);
    EXPECT_EQUAL(errno, EPERM);
}

static int post_without_function(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_post(NULL, NULL, letters), -EINVAL);
    EXPECT_EQUAL(errno, EINVAL);
    return 0;
}

static void it_needs_a_function(void **state)
{
    (void)state;
    loop_support_run(post_without_function, NULL);
}

static void what_is_posted_before_the_loop_runs_runs_with_it(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    EXPECT_EQUAL(weft_post(NULL, note, &letters[0]), 0);
    EXPECT_EQUAL(weft_post(support.loop, note, &letters[1]), 0);
    EXPECT_TEXT(trace, "");
    loop_support_end(&support);
    EXPECT_TEXT(trace, "ab");
    EXPECT_EQUAL(weft_post(NULL, note, letters), -ESHUTDOWN);
    EXPECT_EQUAL(errno, ESHUTDOWN);
}

static int post_abc(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 3; i++)
        EXPECT_EQUAL(weft_post(NULL, note, &letters[i]), 0);
    return 0;
}

static void what_was_accepted_is_called_when_the_loop_is_freed(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    EXPECT_EQUAL(weft_run_with("user", "u1", post_abc, NULL), 0);
    /* Half way: it has left the box, and is ready. */
    EXPECT(event_base_loop(support.base, EVLOOP_NONBLOCK) >= 0);
    EXPECT_EQUAL(weft_post(NULL, note, &letters[3]), 0);
    support.loop = weft_loop_free(support.loop);
    event_base_free(support.base);
    EXPECT_TEXT(trace, "abcd");
}

static void post_again(void *arg)
{
    (void)arg;
    trace_add('x');
    EXPECT_EQUAL(weft_post(NULL, note, letters), -ESHUTDOWN);
}

static void nothing_can_be_posted_by_what_is_called_at_the_end(void **state)
{
    struct loop_support support = loop_support_begin();

    (void)state;
    EXPECT_EQUAL(weft_post(NULL, post_again, NULL), 0);
    support.loop = weft_loop_free(support.loop);
    event_base_free(support.base);
    EXPECT_TEXT(trace, "x");
}

static void the_next_loop_is_the_processs_again(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct loop_support support = loop_support_begin();

        EXPECT_EQUAL(weft_post(NULL, note, &letters[i]), 0);
        loop_support_end(&support);
    }
    EXPECT_TEXT(trace, "abc");
}

/* ---- From threads ---- */

enum { THREADS = 4, POSTS = 2000 };

struct poster {
    pthread_t id;
    struct weft_loop *loop;
    unsigned number;
    unsigned seen; /* the loop's thread's */
};

struct posted {
    struct poster *poster;
    unsigned index;
};

static atomic_uint arrived;

static void arrive(void *arg)
{
    struct posted *posted = arg;
    char user[16];

    (void)snprintf(user, sizeof(user), "u%u", posted->poster->number);
    EXPECT_TEXT(weft_get("user"), user);
    EXPECT_EQUAL(posted->index, posted->poster->seen);
    EXPECT_EQUAL(weft_set("user", "somebody else"), 0);
    posted->poster->seen++;
    arrived++;
    free(posted);
}

static int post_many(void *arg)
{
    struct poster *poster = arg;

    for (unsigned i = 0; i < POSTS; i++) {
        struct posted *posted = malloc(sizeof(*posted));

        if (!posted)
            abort();
        *posted = (struct posted){.poster = poster, .index = i};
        EXPECT_EQUAL(weft_post(poster->loop, arrive, posted), 0);
    }
    return 0;
}

static void *run_poster(void *arg)
{
    const struct poster *poster = arg;
    char user[16];

    (void)snprintf(user, sizeof(user), "u%u", poster->number);
    EXPECT_EQUAL(weft_run_with("user", user, post_many, arg), 0);
    return NULL;
}

static int wait_for_all(void *arg)
{
    (void)arg;
    while (arrived < THREADS * POSTS)
        EXPECT_EQUAL(weft_sleep_ms(1), 0);
    return 0;
}

static void many_threads_post_in_their_own_contexts_and_order(void **state)
{
    struct loop_support support = loop_support_begin();
    struct poster posters[THREADS];

    (void)state;
    arrived = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){.number = i, .loop = i % 2 ? support.loop : NULL};
        assert_int_equal(pthread_create(&posters[i].id, NULL, run_poster, &posters[i]), 0);
    }
    EXPECT(weft_spawn("wait", wait_for_all, NULL) != NULL);
    EXPECT(event_base_dispatch(support.base) >= 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(posters[i].id, NULL), 0);
    loop_support_end(&support);
    EXPECT_EQUAL(arrived, THREADS * POSTS);
}

/* How far posters may be ahead of the loop, whose queue would grow otherwise. */
enum { AHEAD_MAX = 200 };

static atomic_uint accepted;

static void count(void *arg)
{
    (void)arg;
    arrived++;
}

/* Until it is refused: what was accepted is called, whenever the loop ends. */
static void *post_until_refused(void *arg)
{
    (void)arg;
    for (;;) {
        int r = -EAGAIN;

        if (atomic_load(&accepted) < atomic_load(&arrived) + AHEAD_MAX)
            r = weft_post(NULL, count, NULL);
        else
            (void)sched_yield();
        if (r == 0)
            atomic_fetch_add(&accepted, 1);
        if (r < 0 && r != -EAGAIN) {
            EXPECT_EQUAL(r, -ESHUTDOWN);
            return NULL;
        }
    }
}

static int sleep_a_moment(void *arg)
{
    (void)arg;
    return weft_sleep_ms(2);
}

static void a_loop_that_ends_under_its_posters_calls_what_it_accepted(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct loop_support support = loop_support_begin();
        pthread_t threads[THREADS];

        arrived = 0;
        atomic_store(&accepted, 0);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, post_until_refused, NULL), 0);
        EXPECT(weft_spawn("sleep", sleep_a_moment, NULL) != NULL);
        loop_support_end(&support);
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        EXPECT_EQUAL(arrived, atomic_load(&accepted));
    }
}

/* ---- From a call that blocks ---- */

struct exchange {
    struct weft_future future;
};

static void answer(void *arg)
{
    struct exchange *exchange = arg;

    EXPECT_TEXT(weft_get("user"), "u1");
    trace_add('p');
    weft_future_complete(&exchange->future, 42);
}

static int post_answer(void *arg)
{
    EXPECT_EQUAL(weft_call_soon(answer, arg), -EDEADLK);
    return weft_post(NULL, answer, arg);
}

static int offload_and_wait(void *arg)
{
    struct exchange exchange = {0};
    int result = -1;

    (void)arg;
    EXPECT_EQUAL(weft_set("user", "u1"), 0);
    EXPECT_EQUAL(weft_offload(post_answer, &exchange, &result), 0);
    EXPECT_EQUAL(result, 0);
    EXPECT_EQUAL(weft_future_wait(&exchange.future, &result), 0);
    EXPECT_EQUAL(result, 42);
    return 0;
}

static void a_call_that_blocks_reaches_its_loop(void **state)
{
    (void)state;
    loop_support_run(offload_and_wait, NULL);
    EXPECT_TEXT(trace, "p");
}

/* ---- Several loops ---- */

static void *run_second_loop(void *arg)
{
    struct loop_support support = loop_support_begin();
    pthread_t first = loop_thread;

    (void)arg;
    loop_thread = pthread_self();
    EXPECT_EQUAL(weft_post(support.loop, note, &letters[1]), 0);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "b");
    loop_thread = first;
    return NULL;
}

static void null_means_the_first_loop_while_it_lasts(void **state)
{
    struct loop_support support = loop_support_begin();
    pthread_t second;

    (void)state;
    assert_int_equal(pthread_create(&second, NULL, run_second_loop, NULL), 0);
    assert_int_equal(pthread_join(second, NULL), 0);
    EXPECT_EQUAL(weft_post(NULL, note, &letters[0]), 0);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "ba");
}

/* ---- Copies ---- */

static void a_copy_of_a_worker_posts_nothing(void **state)
{
    struct loop_support support = loop_support_begin();
    int status = -1;

    (void)state;
    fork_guard_install(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(weft_post(NULL, note, letters) == -EPERM ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    EXPECT_EQUAL(status, 0);
    loop_support_end(&support);
    EXPECT_TEXT(trace, "");
}

#define POST_TEST(function_) cmocka_unit_test_setup_teardown(function_, prepare, expect_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POST_TEST(nothing_can_be_posted_before_there_is_a_loop),
        POST_TEST(it_needs_a_function),
        POST_TEST(what_is_posted_before_the_loop_runs_runs_with_it),
        POST_TEST(what_was_accepted_is_called_when_the_loop_is_freed),
        POST_TEST(nothing_can_be_posted_by_what_is_called_at_the_end),
        POST_TEST(the_next_loop_is_the_processs_again),
        POST_TEST(many_threads_post_in_their_own_contexts_and_order),
        POST_TEST(a_loop_that_ends_under_its_posters_calls_what_it_accepted),
        POST_TEST(a_call_that_blocks_reaches_its_loop),
        POST_TEST(null_means_the_first_loop_while_it_lasts),
        POST_TEST(a_copy_of_a_worker_posts_nothing),
    };

    return cmocka_run_group_tests_name("post", tests, NULL, NULL);
}
