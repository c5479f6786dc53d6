/*
 * Exceptions of C++ on fibers: each task has its own. Built twice: with the C++ code as part of the program, and, with
 * EXCEPTIONS_LATE, as plugins that a task loads for itself in a program without C++, one of them with a C++ runtime of
 * its own.
 */
#include <dlfcn.h>

#include "tests/conformance/exceptions_cxx.h"
#include "tests/conformance/harness.h"
#include "tests/support/checker.h"
#include "tests/support/loop_support.h"

static void expect(int holds, const char *words, const char *file, int line)
{
    expect_true(holds, words, file, line);
}

#ifdef EXCEPTIONS_LATE
static const char *const files[] = {EXCEPTIONS_LATE};

/* Never closed: a C++ runtime is not unloaded. */
static struct cxx_cases *load(const char *file)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        expect_fail(__FILE__, __LINE__, "%s", dlerror());
        return NULL;
    }
    return dlsym(library, "cxx_cases");
}
#else
static const char *const files[] = {""};

static struct cxx_cases *load(const char *file)
{
    (void)file;
    return &cxx_cases;
}
#endif

enum { FILES = sizeof(files) / sizeof(*files), TASKS = 8 };

static struct cxx_cases *of_file[FILES];
static size_t kind; /* of the case that is run: an offset into struct cxx_cases */

static int (*function_of(const struct cxx_cases *cases))(void *)
{
    int (*function)(void *);

    memcpy(&function, (const char *)cases + kind, sizeof(function));
    return function;
}

/* Loads as late as can be: on a fiber, with others under way. */
static int run_side_by_side(void *arg)
{
    static const char *const texts[TASKS] = {"one", "two", "three", "four", "five", "six", "seven", "eight"};
    struct weft_task *tasks[FILES][TASKS];

    for (size_t file = 0; file < FILES; file++) {
        if (!of_file[file])
            of_file[file] = load(files[file]);
        if (!of_file[file])
            return -ENOENT;
        of_file[file]->expect = expect;
        for (int i = 0; i < TASKS; i++) {
            int (*function)(void *) = i % 4 == 3 ? of_file[file]->end_in_no_handler : function_of(of_file[file]);

            tasks[file][i] = weft_spawn(texts[i], function, (char *)(uintptr_t)texts[i]);
            EXPECT(tasks[file][i] != NULL);
        }
        /* This very task, too, which has loaded it. */
        EXPECT_EQUAL(function_of(of_file[file])(arg), 0);
    }
    for (size_t file = 0; file < FILES; file++)
        for (int i = 0; i < TASKS; i++)
            EXPECT_EQUAL(weft_join(tasks[file][i], NULL), 0);
    return 0;
}

static void run(size_t offset)
{
    static char text[] = "the first";

    kind = offset;
    loop_support_run(run_side_by_side, text);
}

static void tasks_that_wait_in_handlers_have_their_own_exceptions(void)
{
    run(offsetof(struct cxx_cases, wait_in_a_handler));
}

static void so_have_those_in_handlers_within_handlers(void)
{
    run(offsetof(struct cxx_cases, wait_in_nested_handlers));
}

static void a_destructor_that_waits_is_unwinding_for_its_own_task_only(void)
{
    run(offsetof(struct cxx_cases, wait_while_unwinding));
}

static void an_exception_is_kept_and_thrown_again_across_waits(void)
{
    run(offsetof(struct cxx_cases, keep_an_exception));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(tasks_that_wait_in_handlers_have_their_own_exceptions),
        CONFORMANCE_CASE(so_have_those_in_handlers_within_handlers),
        CONFORMANCE_CASE(a_destructor_that_waits_is_unwinding_for_its_own_task_only),
        CONFORMANCE_CASE(an_exception_is_kept_and_thrown_again_across_waits),
    };

    return cmocka_run_group_tests_name("exceptions", tests, NULL, NULL);
}
