/*
 * Output: values that may be anything, on a terminal that takes some bytes for commands.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "context/macros.h"

/* ---- Text ---- */

/* Writes `size` bytes with everything that could harm a terminal or break the line escaped, and gives how many columns
 * that takes, as far as each character takes one. NULL for `file` only measures. */
size_t print_escaped(FILE *file, const char *bytes, size_t size);

/* A value and its name; borrowed. */
struct print_pair {
    const char *name;
    size_t name_size;
    const char *value;
    size_t value_size;
};

/* Writes one `NAME: VALUE` a line on stdout, the values below each other. */
void print_pairs(const struct print_pair *pairs, size_t count);

/* ---- JSON ---- */

/* A string where the bytes are UTF-8, else an object whose one member, `base64`, is what it says. To be given to
 * json_decref(); NULL: no memory. */
json_t *print_make_json(const char *bytes, size_t size);

/* Sets `name` (any bytes; what is not UTF-8 is escaped) to `value`, which is taken over and may be NULL: no memory, as
 * in what this gives then: -ENOMEM. */
int print_add_json(json_t *object, const char *name, size_t name_size, json_t *value) MUST_CHECK;

/* Writes an object as one line of ASCII on stdout, and gives it back. Gives 0; NULL or no memory: -ENOMEM. */
int print_json(json_t *object) MUST_CHECK;

/* The same for an object that was made in steps, of which one may have failed with `r`: it is only given back then. */
int print_made_json(json_t *object, int r) MUST_CHECK;
