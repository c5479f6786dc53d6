/*
 * The boundary: where code of a plugin that is called from C ends. An exception of C++, or of another language that
 * unwinds as C++ does, that leaves such code would find nobody above who handles it, and end the process. It ends here
 * instead, and is a result like any other, in words.
 *
 * On processors that nobody has written it for, exceptions end the process as they would without.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>

/* What left it. */
struct boundary {
    bool thrown;
    char *words; /* "std::runtime_error: no such user": the type, and what it says; freed by who called */
};

/* Where there is no memory for the words. */
#define BOUNDARY_WORDS(boundary_) ((boundary_)->words ? (boundary_)->words : "an exception")

/* The result of code that an exception has left. */
#define BOUNDARY_THROWN (-EPROTO)

/* Calls fn(arg) and gives its result; BOUNDARY_THROWN, and the words, where an exception leaves it. The end of a thread
 * (pthread_exit, pthread_cancel) goes through. Where none
 * does, only `thrown` is written. */
int boundary_call(int (*fn)(void *arg), void *arg, struct boundary *ret_boundary);

/* Logs what left code that has nobody to give it to, as `message`, and frees the words. */
void boundary_report(struct boundary *boundary, const char *message);

/* As boundary_call(), for functions without a result. */
void boundary_call_void(void (*fn)(void *arg), void *arg, struct boundary *ret_boundary);
