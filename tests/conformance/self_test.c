/* The self-test: that it holds where all is well, and says why where it does not. */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "context/propagate/propagate.h"
#include "context/propagate/self_test.h"
#include "tests/conformance/harness.h"
#include "tests/support/checker.h"

static void expect_well(void)
{
    char *message = NULL;

    EXPECT_EQUAL(self_test_run(&message), 0);
    EXPECT_TEXT(message, NULL);
    free(message);
}

/* Takes the two sentences, which are the caller's to format. */
static void expect_refusal(int r, char *message, char *expected)
{
    EXPECT_EQUAL(r, -ENOTSUP);
    EXPECT_TEXT(message, expected);
    free(message);
    free(expected);
}

WEFT_PRINTF(1, 2) static char *text_of(const char *format, ...)
{
    char *text;
    va_list args;

    va_start(args, format);
    assert_true(vasprintf(&text, format, args) >= 0);
    va_end(args);
    return text;
}

/* The path of the shared object that a function is in. */
static const char *path_of(const char *function)
{
    Dl_info info;

    assert_int_not_equal(dladdr(propagate_real(function), &info), 0);
    return info.dli_fname;
}

static void it_holds_in_a_program_that_uses_the_shared_libraries(void)
{
    expect_well();
    expect_well();
}

static void it_holds_with_a_library_that_is_called_anything(void)
{
    void *libraries[] = {dlopen(MODULE_ONE, RTLD_NOW), dlopen(MODULE_CALLED_LIBEVENTS, RTLD_NOW),
                         dlopen(MODULE_TWO, RTLD_LAZY)};

    expect_well();
    for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++) {
        assert_non_null(libraries[i]);
        (void)dlclose(libraries[i]);
    }
}

static void a_library_that_is_bound_past_weft_is_named(void)
{
    if (CHECKER_SANITIZER) /* they refuse it themselves */
        return;
    char *message = NULL;
    void *library = dlopen(MODULE_PAST, RTLD_NOW | RTLD_DEEPBIND);
    assert_non_null(library);
    int r = self_test_libraries(&message);
    expect_refusal(r, message,
                   text_of("%s calls the event_add() of %s, past weft's, as after dlopen() with RTLD_DEEPBIND: what it "
                           "schedules would lose its context",
                           MODULE_PAST, path_of("event_add")));
    (void)dlclose(library);
    expect_well();
}

static void a_library_with_a_libevent_of_its_own_is_named(void)
{
    char *message = NULL;
    void *library = dlopen(MODULE_STATIC, RTLD_NOW);

    assert_non_null(library);
    int r = self_test_libraries(&message);
    expect_refusal(r, message,
                   text_of("%s has an event_add() of its own: libevent is linked into it statically, and what it "
                           "schedules would lose its context; link it with the shared library",
                           MODULE_STATIC));
    (void)dlclose(library);
    expect_well();
}

static void a_library_that_calls_a_libevent_of_its_own_is_named(void)
{
    if (CHECKER_SANITIZER) /* they refuse it themselves */
        return;
    char *message = NULL;
    void *library = dlopen(MODULE_STATIC_DEEP, RTLD_NOW | RTLD_DEEPBIND);

    assert_non_null(library);
    int r = self_test_libraries(&message);
    expect_refusal(
        r, message,
        text_of("%s calls a function event_add() of its own: libevent or hiredis is linked into it statically, and "
                "what it schedules would lose its context; link it with the shared library",
                MODULE_STATIC_DEEP));
    (void)dlclose(library);
    expect_well();
}

static void an_exempt_library_is_named(void)
{
    /* Last, since it is exempt from now on. */
    char *message = NULL;

    propagate_exempt(dlsym(RTLD_NEXT, "qsort"));
    int r = self_test_run(&message);
    expect_refusal(r, message,
                   text_of("%s is exempt from contexts, and so would be what it calls", path_of("dlclose")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(it_holds_in_a_program_that_uses_the_shared_libraries),
        CONFORMANCE_CASE(it_holds_with_a_library_that_is_called_anything),
        CONFORMANCE_CASE(a_library_that_is_bound_past_weft_is_named),
        CONFORMANCE_CASE(a_library_with_a_libevent_of_its_own_is_named),
        CONFORMANCE_CASE(a_library_that_calls_a_libevent_of_its_own_is_named),
        CONFORMANCE_CASE(an_exempt_library_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
