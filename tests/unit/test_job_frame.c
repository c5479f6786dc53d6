/* The context that a job starts with. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/context.h>

#include "context/job_frame.h"

static int write_value(const char *name, const char *value, size_t size, void *text)
{
    (void)sprintf((char *)text + strlen(text), "%s=%s(%zu) ", name, value, size);
    return 0;
}

static int write_all(void *text)
{
    return weft_each(write_value, text);
}

static void count(void *owner)
{
    ++*(int *)owner;
}

static void assert_holds(const struct job_values *values, const char *expected)
{
    struct weft_context *context;
    char text[1024] = "";
    int released = 0;

    assert_int_equal(job_frame_new(values, &released, count, &context), 0);
    assert_int_equal(weft_run_in(context, write_all, text), 0);
    assert_string_equal(text, expected);
    assert_int_equal(released, 0);
    (void)weft_context_unref(context);
    assert_int_equal(released, 1);
}

static void all_that_is_known_of_a_job_is_in_its_context(void **state)
{
    const struct job_field metadata[] = {{"tenant", "a\0b", 3}, {"locale", "de", 2}};

    (void)state;
    assert_holds(
        &(struct job_values){
            .id = "1-0",
            .type = "mail",
            .queue = "default",
            .attempt = "2",
            .root_id = "0-1",
            .trace_id = "aa",
            .span_id = "bb",
            .handler = "send",
            .task = "audit",
            .metadata = metadata,
            .metadata_count = 2,
        },
        "weft.job_id=1-0(3) weft.type=mail(4) weft.queue=default(7) weft.attempt=2(1) weft.root_id=0-1(3) "
        "weft.trace_id=aa(2) weft.span_id=bb(2) weft.handler=send(4) weft.task=audit(5) tenant=a(3) locale=de(2) ");
}

static void what_is_not_known_is_not_there(void **state)
{
    (void)state;
    assert_holds(&(struct job_values){.id = "1-0", .type = "", .task = NULL}, "weft.job_id=1-0(3) ");
    assert_holds(&(struct job_values){.queue = "default"}, "weft.queue=default(7) ");
}

static void metadata_cannot_take_the_names_of_wefts_own_values(void **state)
{
    const struct job_field metadata[] = {{JOB_VALUE_ID, "forged", 6}, {"tenant", "a", 1}};

    (void)state;
    assert_holds(&(struct job_values){.id = "1-0", .metadata = metadata, .metadata_count = 2},
                 "weft.job_id=1-0(3) tenant=a(1) ");
}

/* As all assertions, in every build but the packaged one. */
static void more_metadata_than_a_message_can_have_is_a_bug(void **state)
{
    static const struct job_field metadata[JOB_METADATA_MAX + 1];
    struct weft_context *context;
    int status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        _exit(job_frame_new(&(struct job_values){.metadata = metadata, .metadata_count = JOB_METADATA_MAX + 1}, NULL,
                            NULL, &context));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_known_of_a_job_is_in_its_context),
        cmocka_unit_test(what_is_not_known_is_not_there),
        cmocka_unit_test(more_metadata_than_a_message_can_have_is_a_bug),
        cmocka_unit_test(metadata_cannot_take_the_names_of_wefts_own_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
