/* What a process that weftd forks has of weftd's signals and descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/process.h"

static int status_of(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void ignore_it(int number)
{
    (void)number;
}

static void handlers_of_this_process_do_not_run_in_the_child(void **state)
{
    struct sigaction action;
    sigset_t blocked;

    (void)state;
    (void)signal(SIGTERM, ignore_it);
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t pid = process_fork();
    if (pid == 0) {
        int wrong = 0;

        (void)sigprocmask(SIG_SETMASK, NULL, &blocked);
        wrong |= sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGUSR1) == 1 ? 0 : 1;
        (void)sigaction(SIGTERM, NULL, &action);
        wrong |= action.sa_handler == SIG_DFL ? 0 : 2;
        (void)sigaction(SIGPIPE, NULL, &action);
        wrong |= action.sa_handler == SIG_IGN ? 0 : 4;
        process_mask_signals(SIG_SETMASK, (const int[]){0});
        (void)sigprocmask(SIG_SETMASK, NULL, &blocked);
        wrong |= sigismember(&blocked, SIGTERM) == 0 ? 0 : 8;
        _exit(wrong);
    }
    assert_true(pid > 0);
    assert_int_equal(status_of(pid), 0);
    (void)sigprocmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
    (void)sigaction(SIGTERM, NULL, &action);
    assert_true(action.sa_handler == ignore_it);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
}

static void a_signal_meanwhile_meets_the_child_that_has_unblocked(void **state)
{
    (void)state;
    (void)signal(SIGTERM, ignore_it);
    pid_t pid = process_fork();
    if (pid == 0) {
        (void)raise(SIGTERM);
        process_mask_signals(SIG_SETMASK, (const int[]){0});
        _exit(0);
    }
    assert_int_equal(status_of(pid), -SIGTERM);
    (void)signal(SIGTERM, SIG_DFL);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool is_one_of_two(int fd, const void *arg)
{
    const int *two = arg;

    return fd == two[0] || fd == two[1];
}

/* Also beyond the 1024 that select() knows. */
static void descriptors_are_closed_whatever_their_number(void **state)
{
    struct rlimit limit;
    int numbers[5];

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 4096)
        skip();
    limit.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 5; i++) {
        numbers[i] = fcntl(STDERR_FILENO, F_DUPFD, i < 3 ? 100 : 2000);
        assert_true(numbers[i] >= 0);
    }

    pid_t pid = process_fork();
    if (pid == 0) {
        const int kept[] = {numbers[4], numbers[1]};

        process_close_descriptors(is_one_of_two, kept);
        for (int fd = 0; fd < 4096; fd++)
            if (is_open(fd) != (fd <= STDERR_FILENO || fd == kept[0] || fd == kept[1]))
                _exit(1);
        process_close_descriptors(process_keeps_one, &kept[0]);
        if (is_open(kept[1]) || !is_open(kept[0]))
            _exit(2);
        process_close_descriptors(NULL, NULL);
        _exit(is_open(kept[0]) || !is_open(STDERR_FILENO) ? 3 : 0);
    }
    assert_int_equal(status_of(pid), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(close(numbers[i]), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_of_this_process_do_not_run_in_the_child),
        cmocka_unit_test(a_signal_meanwhile_meets_the_child_that_has_unblocked),
        cmocka_unit_test(descriptors_are_closed_whatever_their_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
