/* What exceptions_cxx.cpp has for the tests in C: each is the function of a task, or runs some. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct cxx_cases {
    void (*expect)(int holds, const char *words, const char *file, int line); /* to be set before any other is called */

    /* Tasks that run next to others of their kind. `arg` is the text that the task throws. */
    int (*wait_in_a_handler)(void *arg);
    int (*wait_in_nested_handlers)(void *arg);
    int (*wait_while_unwinding)(void *arg);
    int (*keep_an_exception)(void *arg);
    int (*end_in_no_handler)(void *arg);
};

extern struct cxx_cases cxx_cases;

#ifdef __cplusplus
}
#endif
