/* Child processes, as plain libevent programs start and watch them: C36. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "context/async/operation.h"
#include "context/propagate/libc/child.h"
#include "tests/conformance/harness.h"

/* ---- Output and end ---- */

/* A program whose output and end somebody waits for. */
struct program {
    struct event_base *base;
    const char *script;
    const char *a;
    pid_t pid;
    struct event *output_event, *error_event, *end_event;
    int output_fd, error_fd;
    char output[64], error[64];
    int status;
};

static void end_if_over(struct program *program)
{
    if (program->output_event || program->error_event || program->pid > 0)
        return;
    event_free(program->end_event);
    program->end_event = NULL;
}

/* Gives whether there is more to come. */
static bool take(int fd, char *text, size_t size)
{
    size_t used = strlen(text);
    ssize_t got = read(fd, text + used, size - 1 - used);

    if (got > 0)
        text[used + (size_t)got] = '\0';
    return got > 0;
}

static void output_came(evutil_socket_t fd, short what, void *arg)
{
    struct program *program = arg;

    (void)what;
    EXPECT_TEXT(weft_get("a"), program->a);
    if (take(fd, program->output, sizeof(program->output)))
        return;
    event_free(program->output_event);
    program->output_event = NULL;
    (void)close(fd);
    end_if_over(program);
}

static void error_came(evutil_socket_t fd, short what, void *arg)
{
    struct program *program = arg;

    (void)what;
    EXPECT_TEXT(weft_get("a"), program->a);
    if (take(fd, program->error, sizeof(program->error)))
        return;
    event_free(program->error_event);
    program->error_event = NULL;
    (void)close(fd);
    end_if_over(program);
}

static void child_ended(evutil_socket_t number, short what, void *arg)
{
    struct program *program = arg;

    (void)number;
    (void)what;
    EXPECT_TEXT(weft_get("a"), program->a);
    if (program->pid > 0 && waitpid(program->pid, &program->status, WNOHANG) == program->pid)
        program->pid = 0;
    end_if_over(program);
}

static void watch(struct program *program)
{
    program->output_event = event_new(program->base, program->output_fd, EV_READ | EV_PERSIST, output_came, program);
    program->error_event = event_new(program->base, program->error_fd, EV_READ | EV_PERSIST, error_came, program);
    program->end_event = evsignal_new(program->base, SIGCHLD, child_ended, program);
    EXPECT_EQUAL(event_add(program->output_event, NULL), 0);
    EXPECT_EQUAL(event_add(program->error_event, NULL), 0);
    EXPECT_EQUAL(event_add(program->end_event, NULL), 0);
}

static int start_program(void *arg)
{
    struct program *program = arg;
    char *words[] = {(char[]){"sh"}, (char[]){"-c"}, strdup(program->script), NULL};
    posix_spawn_file_actions_t actions;
    int output[2], error[2];

    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    assert_int_equal(pipe2(error, O_CLOEXEC), 0);
    program->output_fd = output[0];
    program->error_fd = error[0];
    watch(program);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, error[1], STDERR_FILENO), 0);
    EXPECT_EQUAL(posix_spawnp(&program->pid, "sh", &actions, NULL, words, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(output[1]);
    (void)close(error[1]);
    free(words[2]);
    return 0;
}

static void c36_a_childs_output_and_end_are_told_in_the_context_that_started_it(void)
{
    struct event_base *base = event_base_new();
    struct program programs[] = {
        {.base = base, .script = "echo one; echo eins >&2; exit 1", .a = "1"},
        {.base = base, .script = "echo two; echo zwei >&2; exit 2", .a = "2"},
        {.base = base, .script = "echo $WEFT_META_A; kill -9 $$", .a = "3"},
    };
    long before = weft_contexts_alive();

    for (size_t i = 0; i < 3; i++)
        EXPECT_EQUAL(weft_run_with("a", programs[i].a, start_program, &programs[i]), 0);
    EXPECT(event_base_dispatch(base) >= 0);
    EXPECT_TEXT(programs[0].output, "one\n");
    EXPECT_TEXT(programs[0].error, "eins\n");
    EXPECT_EQUAL(WEXITSTATUS(programs[0].status), 1);
    EXPECT_TEXT(programs[1].output, "two\n");
    EXPECT_TEXT(programs[1].error, "zwei\n");
    EXPECT_EQUAL(WEXITSTATUS(programs[1].status), 2);
    EXPECT_TEXT(programs[2].output, "3\n");
    EXPECT_EQUAL(WTERMSIG(programs[2].status), SIGKILL);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    event_base_free(base);
}

/* ---- The operation ---- */

static int start_shell(const char *script, char *const *variables)
{
    char *words[] = {(char[]){"sh"}, (char[]){"-c"}, strdup(script), NULL};
    pid_t pid = -1;

    EXPECT_EQUAL(posix_spawn(&pid, "/bin/sh", NULL, NULL, words, variables), 0);
    free(words[2]);
    return pid;
}

static int start_true(void *arg)
{
    (void)arg;
    return start_shell("exit 0", environ);
}

static int find_child(const struct operation *operation, void *pid)
{
    char description[OPERATION_DESCRIPTION_SIZE], wanted[32];

    (void)snprintf(wanted, sizeof(wanted), "child %d", *(int *)pid);
    operation_describe(operation, description);
    return strcmp(description, wanted) == 0;
}

static pid_t wait_by_wait(pid_t pid)
{
    (void)pid;
    return wait(NULL);
}

static pid_t wait_by_waitpid(pid_t pid)
{
    return waitpid(pid, NULL, 0);
}

static pid_t wait_by_wait3(pid_t pid)
{
    int status;

    (void)pid;
    return wait3(&status, 0, NULL);
}

static pid_t wait_by_wait4(pid_t pid)
{
    return wait4(pid, NULL, 0, NULL);
}

static pid_t wait_by_waitid(pid_t pid)
{
    return waitid(P_PID, (id_t)pid, NULL, WEXITED) == 0 ? pid : -1;
}

static void c36_a_child_can_be_seen_until_somebody_has_waited_for_it(void)
{
    static pid_t (*const ways[])(pid_t pid) = {wait_by_wait, wait_by_waitpid, wait_by_wait3, wait_by_wait4,
                                               wait_by_waitid};
    long before = weft_contexts_alive();

    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        int pid = weft_run_with("a", "1", start_true, NULL);

        EXPECT_EQUAL(operation_each(find_child, &pid), 1);
        EXPECT_EQUAL(weft_contexts_alive(), before + 1);
        EXPECT_EQUAL(ways[i](pid), pid);
        EXPECT_EQUAL(operation_each(find_child, &pid), 0);
        EXPECT_EQUAL(weft_contexts_alive(), before);
    }
}

static void c36_looking_at_a_child_does_not_end_it(void)
{
    int pid = weft_run_with("a", "1", start_true, NULL);
    siginfo_t info;

    EXPECT_EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    EXPECT_EQUAL(info.si_pid, pid);
    EXPECT_EQUAL(operation_each(find_child, &pid), 1);
    EXPECT_EQUAL(waitpid(pid, NULL, 0), pid);
    EXPECT_EQUAL(operation_each(find_child, &pid), 0);
}

static void c36_a_child_that_nobody_waits_for_ends_all_the_same(void)
{
    int pid = weft_run_with("a", "1", start_true, NULL);
    siginfo_t info;
    long before = weft_contexts_alive();

    EXPECT_EQUAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    child_tend();
    EXPECT_EQUAL(weft_contexts_alive(), before - 1);
    EXPECT_EQUAL(waitpid(pid, NULL, 0), pid);
}

/* ---- Where ends are ignored ---- */

static int fork_one(void *arg)
{
    pid_t pid = fork();

    (void)arg;
    if (pid == 0)
        _exit(0);
    return pid;
}

static void wait_until_it_is_gone(pid_t pid)
{
    siginfo_t info;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 || errno != ECHILD)
        continue;
}

static void expect_nothing_of_children(const struct sigaction *action)
{
    long before = weft_contexts_alive();
    struct sigaction old;

    EXPECT_EQUAL(sigaction(SIGCHLD, action, &old), 0);
    for (int i = 0; i < 3; i++) {
        wait_until_it_is_gone(weft_run_with("a", "1", fork_one, NULL));
        EXPECT_EQUAL(weft_contexts_alive(), before);
        wait_until_it_is_gone(weft_run_with("a", "1", start_true, NULL));
        EXPECT_EQUAL(weft_contexts_alive(), before);
    }
    EXPECT_EQUAL(sigaction(SIGCHLD, &old, NULL), 0);
}

static void do_nothing(int number)
{
    (void)number;
}

static void c36_a_child_whose_end_nobody_is_told_of_holds_no_context(void)
{
    expect_nothing_of_children(&(struct sigaction){.sa_handler = SIG_IGN});
    expect_nothing_of_children(&(struct sigaction){.sa_handler = do_nothing, .sa_flags = SA_NOCLDWAIT});
}

static int fork_and_ignore(void *arg)
{
    pid_t pid = fork_one(arg);

    EXPECT(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    return pid;
}

/* Found out about when the next one begins, where nothing else looks. */
static void c36_so_does_one_whose_end_is_ignored_later(void)
{
    long before = weft_contexts_alive();
    pid_t gone = weft_run_with("a", "1", fork_and_ignore, NULL);

    /* If it has ended before, it is there to be waited for. */
    (void)waitpid(gone, NULL, 0);
    EXPECT(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
    pid_t pid = weft_run_with("a", "1", start_true, NULL);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    EXPECT_EQUAL(waitpid(pid, NULL, 0), pid);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

static int start_nothing(void *arg)
{
    char *words[] = {(char[]){"nothing"}, NULL};
    pid_t pid;

    int error = posix_spawn(&pid, arg, NULL, NULL, words, environ);
    EXPECT(error == ENOENT || error == 0);
    if (error == 0) /* valgrind cannot tell */
        EXPECT_EQUAL(waitpid(pid, NULL, 0), pid);
    return 0;
}

static void c36_a_child_that_cannot_be_started_holds_no_context(void)
{
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "1", start_nothing, (char[]){"/nowhere/nothing"}), 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

/* ---- fork ---- */

static int fork_and_look(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        const char *variable = getenv("WEFT_META_A");

        _exit(weft_get("a") && strcmp(weft_get("a"), "1") == 0 && variable && strcmp(variable, "1") == 0 ? 0 : 1);
    }
    return pid;
}

static void c36_a_forked_child_has_the_context_and_its_variables(void)
{
    long before = weft_contexts_alive();
    int pid = weft_run_with("a", "1", fork_and_look, NULL), status;

    EXPECT(getenv("WEFT_META_A") == NULL);
    EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

static int fork_at_root(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0)
        _exit(weft_capture() || getenv("WEFT_META_A") ? 1 : 0);
    return pid;
}

static void c36_a_child_of_the_root_has_neither(void)
{
    int pid = weft_exit(fork_at_root, NULL), status;

    EXPECT_EQUAL(operation_each(find_child, &pid), 0);
    EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c36_a_childs_output_and_end_are_told_in_the_context_that_started_it),
        CONFORMANCE_CASE(c36_a_child_can_be_seen_until_somebody_has_waited_for_it),
        CONFORMANCE_CASE(c36_looking_at_a_child_does_not_end_it),
        CONFORMANCE_CASE(c36_a_child_that_nobody_waits_for_ends_all_the_same),
        CONFORMANCE_CASE(c36_a_child_whose_end_nobody_is_told_of_holds_no_context),
        CONFORMANCE_CASE(c36_so_does_one_whose_end_is_ignored_later),
        CONFORMANCE_CASE(c36_a_child_that_cannot_be_started_holds_no_context),
        CONFORMANCE_CASE(c36_a_forked_child_has_the_context_and_its_variables),
        CONFORMANCE_CASE(c36_a_child_of_the_root_has_neither),
    };

    return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
