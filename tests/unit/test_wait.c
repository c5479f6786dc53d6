/* Waiting for time and for descriptors. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/loop_support.h"
#include "tests/support/trace.h"

/* ---- Time ---- */

static int sleep_and_note(void *arg)
{
    const char *letter_and_time = arg;

    EXPECT_EQUAL(weft_sleep_ms((uint64_t)(letter_and_time[1] - '0') * 150), 0);
    trace_add(letter_and_time[0]);
    return 0;
}

static int sleep_all(void *arg)
{
    static char sleepers[][3] = {"a3", "b1", "c2", "d1", "e0", "f3", "g2"};

    (void)arg;
    for (size_t i = 0; i < sizeof(sleepers) / sizeof(*sleepers); i++)
        EXPECT(weft_spawn("sleep", sleep_and_note, sleepers[i]) != NULL);
    return 0;
}

static void sleepers_wake_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    trace_clear();
    loop_support_run(sleep_all, NULL);
    EXPECT_TEXT(trace, "ebdcgaf");
}

static int sleep_long(void *milliseconds)
{
    return weft_sleep_ms(*(uint64_t *)milliseconds);
}

static int cancel_long_sleeps(void *arg)
{
    static uint64_t times[] = {UINT64_MAX, INT64_MAX, UINT64_C(1) << 62, UINT64_C(3200000000000)};
    struct weft_task *sleepers[sizeof(times) / sizeof(*times)];

    (void)arg;
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
        sleepers[i] = weft_spawn("sleep", sleep_long, &times[i]);
    EXPECT_EQUAL(weft_sleep_ms(20), 0);
    EXPECT_EQUAL(weft_tasks_alive(), 5);
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        int result = 0;

        weft_cancel(sleepers[i]);
        EXPECT_EQUAL(weft_join(sleepers[i], &result), 0);
        EXPECT_EQUAL(result, -ECANCELED);
    }
    return 0;
}

static void a_sleep_of_ages_does_not_end_at_once(void **state)
{
    (void)state;
    loop_support_run(cancel_long_sleeps, NULL);
}

static int yield_until(void *flag)
{
    while (!*(volatile bool *)flag)
        EXPECT_EQUAL(weft_sleep_ms(0), 0);
    return 0;
}

static int read_one(int fd)
{
    char byte = 0;

    EXPECT_EQUAL(weft_wait_fd(fd, WEFT_READ, -1), WEFT_READ);
    EXPECT_EQUAL(read(fd, &byte, 1), 1);
    return byte;
}

static int read_beside_yielder(void *arg)
{
    bool done = false;
    int ends[2];

    (void)arg;
    EXPECT_EQUAL(pipe(ends), 0);
    struct weft_task *yielder = weft_spawn("yield", yield_until, &done);
    EXPECT_EQUAL(write(ends[1], "x", 1), 1);
    EXPECT_EQUAL(read_one(ends[0]), 'x');
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    done = true;
    EXPECT_EQUAL(weft_join(yielder, NULL), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

static void a_task_that_only_yields_does_not_starve_descriptors_and_timers(void **state)
{
    (void)state;
    loop_support_run(read_beside_yielder, NULL);
}

/* ---- Descriptors ---- */

static int sockets[2];

static int open_sockets(void **state)
{
    (void)state;
    trace_clear();
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets);
}

static int close_sockets(void **state)
{
    (void)close(sockets[0]);
    if (sockets[1] >= 0)
        (void)close(sockets[1]);
    return expect_teardown(state);
}

static int wait_for_each_side(void *arg)
{
    (void)arg;
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_WRITE, -1), WEFT_WRITE);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ | WEFT_WRITE, -1), WEFT_WRITE);
    EXPECT_EQUAL(write(sockets[1], "x", 1), 1);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ, -1), WEFT_READ);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ | WEFT_WRITE, 0), WEFT_READ | WEFT_WRITE);
    EXPECT_EQUAL(read_one(sockets[0]), 'x');
    EXPECT_EQUAL(close(sockets[1]), 0);
    sockets[1] = -1;
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ, -1), WEFT_READ); /* the end of the stream */
    EXPECT_EQUAL(read(sockets[0], (char[1]){0}, 1), 0);
    return 0;
}

static void a_wait_gives_what_the_descriptor_is_ready_for(void **state)
{
    (void)state;
    loop_support_run(wait_for_each_side, NULL);
}

static int time_out(void *arg)
{
    (void)arg;
    errno = 0;
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ, 0), -ETIMEDOUT);
    EXPECT_EQUAL(errno, ETIMEDOUT);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ, 5), -ETIMEDOUT);
    EXPECT_EQUAL(write(sockets[1], "x", 1), 1);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ, 0), WEFT_READ);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ, INT64_MAX), WEFT_READ);
    return 0;
}

static void a_wait_that_nothing_ends_times_out(void **state)
{
    (void)state;
    loop_support_run(time_out, NULL);
}

static int wait_wrongly(void *arg)
{
    int closed = dup(0);

    (void)arg;
    EXPECT_EQUAL(close(closed), 0);
    errno = 0;
    EXPECT_EQUAL(weft_wait_fd(closed, WEFT_READ, -1), -EBADF);
    EXPECT_EQUAL(errno, EBADF);
    EXPECT_EQUAL(weft_wait_fd(-1, WEFT_READ, -1), -EINVAL);
    EXPECT_EQUAL(errno, EINVAL);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], 0, -1), -EINVAL);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], 4, -1), -EINVAL);
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ | 8, -1), -EINVAL);
    return 0;
}

static void what_cannot_be_waited_for_is_refused(void **state)
{
    (void)state;
    loop_support_run(wait_wrongly, NULL);
}

static int wait_for_files(void *arg)
{
    static const char *const paths[] = {"/proc/self/exe", "/proc/self/stat", "/", "/dev/null", "/dev/zero"};

    (void)arg;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

        EXPECT(fd >= 0);
        if (weft_wait_fd(fd, WEFT_READ, -1) != (int)WEFT_READ)
            EXPECT_TEXT(paths[i], "ready to be read");
        EXPECT_EQUAL(close(fd), 0);
    }
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT_EQUAL(weft_wait_fd(fd, WEFT_READ | WEFT_WRITE, 0), WEFT_READ | WEFT_WRITE);
    EXPECT_EQUAL(close(fd), 0);
    return 0;
}

static void files_and_devices_that_never_block_are_ready(void **state)
{
    (void)state;
    loop_support_run(wait_for_files, NULL);
}

static int wait_and_note(void *arg)
{
    EXPECT_EQUAL(weft_wait_fd(sockets[0], WEFT_READ, -1), WEFT_READ);
    trace_add(*(char *)arg);
    return 0;
}

static int wait_for_one_descriptor_in_three_tasks(void *arg)
{
    static char letters[] = "abc";

    (void)arg;
    for (size_t i = 0; i < 3; i++)
        EXPECT(weft_spawn("wait", wait_and_note, &letters[i]) != NULL);
    EXPECT_EQUAL(weft_sleep_ms(1), 0);
    EXPECT_TEXT(trace, "");
    EXPECT_EQUAL(write(sockets[1], "x", 1), 1);
    return 0;
}

static void several_tasks_may_wait_for_one_descriptor(void **state)
{
    (void)state;
    loop_support_run(wait_for_one_descriptor_in_three_tasks, NULL);
    EXPECT_EQUAL(strlen(trace), 3);
    EXPECT(strchr(trace, 'a') && strchr(trace, 'b') && strchr(trace, 'c'));
}

/* A conversation of two tasks, each of which waits for the other. */
static int bounce(void *fd)
{
    for (char byte = 0; byte < 100; byte++) {
        EXPECT_EQUAL(write(*(int *)fd, &byte, 1), 1);
        EXPECT_EQUAL(read_one(*(int *)fd), byte);
    }
    return 0;
}

static int converse(void *arg)
{
    (void)arg;
    EXPECT(weft_spawn("one", bounce, &sockets[0]) != NULL);
    EXPECT(weft_spawn("other", bounce, &sockets[1]) != NULL);
    return 0;
}

static void two_tasks_converse_over_a_socket(void **state)
{
    (void)state;
    loop_support_run(converse, NULL);
}

#define SOCKET_TEST(function_) cmocka_unit_test_setup_teardown(function_, open_sockets, close_sockets)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(sleepers_wake_in_the_order_of_their_deadlines),
        EXPECT_TEST(a_sleep_of_ages_does_not_end_at_once),
        EXPECT_TEST(a_task_that_only_yields_does_not_starve_descriptors_and_timers),
        SOCKET_TEST(a_wait_gives_what_the_descriptor_is_ready_for),
        SOCKET_TEST(a_wait_that_nothing_ends_times_out),
        SOCKET_TEST(what_cannot_be_waited_for_is_refused),
        SOCKET_TEST(files_and_devices_that_never_block_are_ready),
        SOCKET_TEST(several_tasks_may_wait_for_one_descriptor),
        SOCKET_TEST(two_tasks_converse_over_a_socket),
    };

    return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
