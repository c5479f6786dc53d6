/*
 * What a child process learns of the context that it is started in: environment variables.
 *
 * Each value of the context that is a text is passed on as WEFT_META_NAME: its name in capitals, with an underscore in
 * the place of each character that is no letter or digit. Of names that become the same variable the first in the order
 * of bytes counts. Values with NUL bytes are left out. Nothing in a context can make any other variable.
 *
 * Variables of these names that the process has inherited itself say nothing about the context and are not passed on;
 * those that the caller has put into a child's environment are the caller's decision, and stay.
 */
#pragma once

#include <stddef.h>

#include <weft/api.h>

struct environment_variable;

/* In the caller's memory. */
struct environment {
    char **variables; /* what the child gets, with a NULL at the end */
    struct environment_variable *own;
    size_t own_count;
};

/* The environment of a child that is started in the current context, where the caller wants it to have `wanted` (NULL:
 * nothing), whose strings are borrowed. Errors: -ENOMEM. */
int environment_init(struct environment *environment, char *const *wanted) WEFT_MUST_CHECK;

void environment_done(struct environment *environment);

/* Installs a function that adds variables beside those: called for each child, in the child's context; NULL: none. It
 * gives 0 or a negative errno. To be called before there are other threads. */
void environment_provide_with(int (*provide)(struct environment *environment));

/* For such a function: the variable `name`, a literal, has this value; NULL: the child has no such variable. Errors:
 * -ENOMEM. */
int environment_add(struct environment *environment, const char *name, const char *value) WEFT_MUST_CHECK;
