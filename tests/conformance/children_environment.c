/* What child processes learn of their context by environment variables: the other half of C36. */
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/harness.h"

enum { OUTPUT_MAX = 4096 };

struct listing {
    char text[OUTPUT_MAX];
    char *const *variables; /* NULL: the process's own */
    bool by_fork;
};

static void read_all(int fd, char *text, size_t size)
{
    size_t used = 0;

    for (ssize_t got = read(fd, text, size - 1); got > 0; got = read(fd, text + used, size - 1 - used))
        used += (size_t)got;
    text[used] = '\0';
}

static pid_t fork_env(char *const *words, int output)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)dup2(output, STDOUT_FILENO);
        (void)execvp("env", words);
        _exit(127);
    }
    return pid;
}

static pid_t spawn_env(char *const *words, int output, char *const *variables)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;

    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO), 0);
    EXPECT_EQUAL(posix_spawn(&pid, "/usr/bin/env", &actions, NULL, words, variables), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* What `env` prints in the current context. */
static int list_environment(void *arg)
{
    struct listing *listing = arg;
    char *words[] = {(char[]){"env"}, NULL};
    int output[2], status;

    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    pid_t pid = listing->by_fork ? fork_env(words, output[1])
                                 : spawn_env(words, output[1], listing->variables ? listing->variables : environ);
    (void)close(output[1]);
    (void)strcpy(listing->text, "\n");
    read_all(output[0], listing->text + 1, sizeof(listing->text) - 1);
    (void)close(output[0]);
    EXPECT_EQUAL(waitpid(pid, &status, 0), pid);
    EXPECT_EQUAL(status, 0);
    return 0;
}

static bool has(const struct listing *listing, const char *line)
{
    char wanted[256];

    (void)snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    return strstr(listing->text, wanted) != NULL;
}

static int list_with_values(void *arg)
{
    EXPECT_EQUAL(weft_set("request-id", "r1"), 0);
    EXPECT_EQUAL(weft_set("request.id", "r2"), 0);
    EXPECT_EQUAL(weft_set("Tenant", "acme"), 0);
    EXPECT_EQUAL(weft_set("empty", ""), 0);
    EXPECT_EQUAL(weft_set("PATH", "/evil"), 0);
    EXPECT_EQUAL(weft_set("LD_PRELOAD", "/evil.so"), 0);
    EXPECT_EQUAL(weft_set_bytes("nul", "a\0b", 3), 0);
    EXPECT_EQUAL(weft_set_pointer("pointer", arg, NULL), 0);
    EXPECT_EQUAL(weft_set("gone", "1"), 0);
    EXPECT_EQUAL(weft_unset("gone"), 0);
    return list_environment(arg);
}

static void expect_values(const struct listing *listing)
{
    EXPECT(has(listing, "WEFT_META_REQUEST_ID=r1")); /* "-" comes before "." */
    EXPECT(!has(listing, "WEFT_META_REQUEST_ID=r2"));
    EXPECT(has(listing, "WEFT_META_TENANT=acme"));
    EXPECT(has(listing, "WEFT_META_EMPTY="));
    EXPECT(has(listing, "WEFT_META_PATH=/evil"));
    EXPECT(!has(listing, "PATH=/evil"));
    EXPECT(!strstr(listing->text, "\nLD_PRELOAD=/evil"));
    EXPECT(!strstr(listing->text, "META_NUL"));
    EXPECT(!strstr(listing->text, "META_POINTER"));
    EXPECT(!strstr(listing->text, "META_GONE"));
}

static void c36_the_contexts_values_are_variables_of_a_child_and_no_other(void)
{
    struct listing spawned = {.by_fork = false}, forked = {.by_fork = true};

    EXPECT_EQUAL(weft_run(list_with_values, &spawned), 0);
    expect_values(&spawned);
    EXPECT_EQUAL(weft_run(list_with_values, &forked), 0);
    expect_values(&forked);
}

static void c36_what_the_caller_says_of_a_variable_counts(void)
{
    char *variables[] = {(char[]){"WEFT_META_A=of the caller"}, (char[]){"WEFT_META_B=of the caller"},
                         (char[]){"OTHER=1"}, NULL};
    struct listing listing = {.variables = variables};

    EXPECT_EQUAL(weft_run_with("a", "1", list_environment, &listing), 0);
    EXPECT(has(&listing, "WEFT_META_A=of the caller"));
    EXPECT(has(&listing, "WEFT_META_B=of the caller"));
    EXPECT(has(&listing, "OTHER=1"));
    EXPECT(!has(&listing, "WEFT_META_A=1"));
}

/* As when a job's child is itself a program that runs jobs. */
static void c36_what_the_process_has_inherited_says_nothing_of_the_context(void)
{
    struct listing listing = {.by_fork = false}, forked = {.by_fork = true}, passed_on = {.by_fork = false};
    char *variables[] = {(char[]){"WEFT_META_A=old"}, (char[]){"WEFT_META_OTHER=old"}, NULL};

    EXPECT_EQUAL(setenv("WEFT_META_A", "old", 1), 0);
    EXPECT_EQUAL(setenv("WEFT_META_OTHER", "old", 1), 0);
    passed_on.variables = variables;
    EXPECT_EQUAL(weft_run_with("a", "1", list_environment, &listing), 0);
    EXPECT_EQUAL(weft_run_with("a", "1", list_environment, &forked), 0);
    EXPECT_EQUAL(weft_run_with("a", "1", list_environment, &passed_on), 0);
    (void)unsetenv("WEFT_META_A");
    (void)unsetenv("WEFT_META_OTHER");
    EXPECT(has(&listing, "WEFT_META_A=1"));
    EXPECT(has(&forked, "WEFT_META_A=1"));
    EXPECT(has(&passed_on, "WEFT_META_A=1"));
    EXPECT(!strstr(listing.text, "=old"));
    EXPECT(!strstr(forked.text, "=old"));
    EXPECT(!strstr(passed_on.text, "=old"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c36_the_contexts_values_are_variables_of_a_child_and_no_other),
        CONFORMANCE_CASE(c36_what_the_caller_says_of_a_variable_counts),
        CONFORMANCE_CASE(c36_what_the_process_has_inherited_says_nothing_of_the_context),
    };

    return cmocka_run_group_tests_name("children_environment", tests, NULL, NULL);
}
