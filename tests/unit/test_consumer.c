/* The names of consumers say which processes are behind them, and whether these live. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "queue/consumer_name.h"

#define NONCE UINT64_C(0x0123456789abcdef)

/* A process that does nothing until it is ended. */
static pid_t start_process(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        (void)pause();
}

static void end_process(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static const char *form(const char *node, pid_t supervisor, pid_t worker)
{
    static char name[CONSUMER_NAME_SIZE];

    assert_int_equal(consumer_format(name, sizeof(name), node, 7, NONCE, supervisor, worker), 0);
    return name;
}

static enum consumer_life look(const char *name)
{
    return consumer_look(name, consumer_host());
}

static void name_says_node_number_nonce_host_and_processes(void **state)
{
    char begin[64], middle[64], end[64];
    const char *name = form("node1", getppid(), getpid());

    (void)state;
    (void)snprintf(begin, sizeof(begin), "node1.7.0123456789abcdef.%08x.%x-", (unsigned)consumer_host(),
                   (unsigned)getppid());
    (void)snprintf(middle, sizeof(middle), ".%x-", (unsigned)getpid());
    (void)snprintf(end, sizeof(end), "%s", strrchr(name, '.'));
    assert_memory_equal(name, begin, strlen(begin));
    assert_memory_equal(end, middle, strlen(middle));
}

static void both_processes_form_the_same_name(void **state)
{
    char theirs[CONSUMER_NAME_SIZE] = "";
    int ends[2];
    pid_t supervisor = getpid();

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t worker = fork();

    if (worker == 0) {
        if (consumer_format(theirs, sizeof(theirs), "node1", 7, NONCE, supervisor, getpid()) < 0 ||
            write(ends[1], theirs, sizeof(theirs)) < 0)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
    assert_string_equal(form("node1", supervisor, worker), theirs);
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void names_are_understood_whatever_the_node_is_called(void **state)
{
    static const char *const nodes[] = {
        "a", "host.example.org", "...", "1.2", "a b\tc", "n.1.0123456789abcdef.01234567.1-1.1-1", "knoten-äöü",
    };
    char longest[CONSUMER_NODE_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        assert_int_equal(look(form(nodes[i], getppid(), getpid())), CONSUMER_ALIVE);
    memset(longest, '.', CONSUMER_NODE_MAX);
    longest[CONSUMER_NODE_MAX] = '\0';
    assert_int_equal(look(form(longest, getppid(), getpid())), CONSUMER_ALIVE);
}

static void longest_name_fits_and_what_does_not_fit_is_refused(void **state)
{
    char node[CONSUMER_NODE_MAX + 1], name[CONSUMER_NAME_SIZE], small[32];

    (void)state;
    memset(node, 'n', CONSUMER_NODE_MAX);
    node[CONSUMER_NODE_MAX] = '\0';
    assert_int_equal(consumer_format(name, sizeof(name), node, SIZE_MAX, UINT64_MAX, getpid(), getpid()), 0);
    assert_int_equal(look(name), CONSUMER_ALIVE);
    assert_int_equal(consumer_format(small, sizeof(small), "node1", 7, NONCE, getpid(), getpid()), -ENAMETOOLONG);
}

static void names_that_are_not_ours_are_elsewhere(void **state)
{
    static const char *const forms[] = {
        "",
        ".",
        ".....",
        "worker1",
        "node1.7.0123456789abcdef",
        ".7.0123456789abcdef.%08x.1-1.1-1",
        "7.0123456789abcdef.%08x.1-1.1-1",
        "n.x.0123456789abcdef.%08x.1-1.1-1",
        "n.7.nonce.%08x.1-1.1-1",
        "n.7.0123456789abcdef.%08x.1-1.1-1.",
        "n.7.0123456789abcdef.%08x.1-1.1-1 ",
        "n.7.0123456789abcdef.%08x.1-1.1",
        "n.7.0123456789abcdef.%08x.1-1.-1",
        "n.7.0123456789abcdef.%08x.1-1.1-",
        "n.7.0123456789abcdef.%08x.0-1.1-1",
        "n.7.0123456789abcdef.%08x.1-1.ffffffff-1",
        "n.7.0123456789abcdef.%08x.-1-1.1-1",
        "n.7.0123456789abcdef.1%08x.1-1.1-1",
        "n.7.0123456789abcdef.%08x.1-1.1-11111111111111111",
    };
    char name[256];

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const char *mark = strstr(forms[i], "%08x");

        if (mark)
            (void)snprintf(name, sizeof(name), "%.*s%08x%s", (int)(mark - forms[i]), forms[i],
                           (unsigned)consumer_host(), mark + 4);
        else
            (void)snprintf(name, sizeof(name), "%s", forms[i]);
        if (look(name) != CONSUMER_ELSEWHERE)
            fail_msg("\"%s\" was taken for a name of ours", name);
    }
}

static void processes_of_another_host_are_not_looked_for(void **state)
{
    const char *name = form("node1", getppid(), getpid());

    (void)state;
    assert_int_not_equal(consumer_host(), 0);
    assert_int_equal(consumer_host(), consumer_host());
    assert_int_equal(consumer_look(name, consumer_host() ^ 1), CONSUMER_ELSEWHERE);
}

static void host_that_cannot_be_told_makes_nobody_dead(void **state)
{
    (void)state;
    assert_int_equal(consumer_look("n.7.0123456789abcdef.00000000.7ffffffe-1.7ffffffe-1", 0), CONSUMER_ALIVE);
    assert_int_equal(consumer_look(form("node1", getppid(), getpid()), 0), CONSUMER_ELSEWHERE);
}

static void consumer_is_dead_when_both_of_its_processes_are(void **state)
{
    pid_t supervisor = start_process(), worker = start_process();
    const char *name = form("node1", supervisor, worker);

    (void)state;
    assert_int_equal(look(name), CONSUMER_ALIVE);
    end_process(supervisor);
    assert_int_equal(look(name), CONSUMER_ALIVE);
    end_process(worker);
    assert_int_equal(look(name), CONSUMER_DEAD);
}

static void consumer_whose_supervisor_lives_is_left_to_it(void **state)
{
    pid_t worker = start_process();
    const char *name = form("node1", getpid(), worker);

    (void)state;
    end_process(worker);
    assert_int_equal(look(name), CONSUMER_ALIVE);
}

static void process_that_nobody_has_waited_for_is_dead(void **state)
{
    pid_t worker = start_process();
    const char *name = form("node1", worker, worker);
    siginfo_t info;

    (void)state;
    assert_int_equal(look(name), CONSUMER_ALIVE);
    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)worker, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(look(name), CONSUMER_DEAD);
    assert_int_equal(waitpid(worker, NULL, 0), worker);
}

static void process_that_stands_still_is_alive(void **state)
{
    pid_t worker = start_process();
    const char *name = form("node1", worker, worker);
    siginfo_t info;

    (void)state;
    assert_int_equal(kill(worker, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)worker, &info, WSTOPPED | WNOWAIT), 0);
    assert_int_equal(look(name), CONSUMER_ALIVE);
    end_process(worker);
}

static void process_that_got_the_same_pid_is_not_taken_for_the_dead_one(void **state)
{
    char name[CONSUMER_NAME_SIZE];

    (void)state;
    (void)snprintf(name, sizeof(name), "n.7.0123456789abcdef.%08x.%x-1.%x-1", (unsigned)consumer_host(),
                   (unsigned)getpid(), (unsigned)getpid());
    assert_int_equal(look(name), CONSUMER_DEAD);
}

static void process_with_an_odd_program_name_is_recognised(void **state)
{
    pid_t worker = fork();
    siginfo_t info;

    (void)state;
    if (worker == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)prctl(PR_SET_NAME, ") Z (1 2 3");
        (void)raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitid(P_PID, (id_t)worker, &info, WSTOPPED | WNOWAIT), 0);
    const char *name = form("node1", worker, worker);

    assert_int_equal(look(name), CONSUMER_ALIVE);
    end_process(worker);
    assert_int_equal(look(name), CONSUMER_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_says_node_number_nonce_host_and_processes),
        cmocka_unit_test(both_processes_form_the_same_name),
        cmocka_unit_test(names_are_understood_whatever_the_node_is_called),
        cmocka_unit_test(longest_name_fits_and_what_does_not_fit_is_refused),
        cmocka_unit_test(names_that_are_not_ours_are_elsewhere),
        cmocka_unit_test(processes_of_another_host_are_not_looked_for),
        cmocka_unit_test(host_that_cannot_be_told_makes_nobody_dead),
        cmocka_unit_test(consumer_is_dead_when_both_of_its_processes_are),
        cmocka_unit_test(consumer_whose_supervisor_lives_is_left_to_it),
        cmocka_unit_test(process_that_nobody_has_waited_for_is_dead),
        cmocka_unit_test(process_that_stands_still_is_alive),
        cmocka_unit_test(process_that_got_the_same_pid_is_not_taken_for_the_dead_one),
        cmocka_unit_test(process_with_an_odd_program_name_is_recognised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
