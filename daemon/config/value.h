/*
 * The kinds of single values: how each is read from its text, and how a message calls it.
 */
#pragma once

#include "daemon/config/reader.h"

struct config_key;

struct config_scalar {
    const char *text;
    size_t size;
    struct config_mark mark; /* {0} for a default */
};

struct config_type {
    /* Reads a value into the field of the struct that the key describes; an earlier value of the field is freed.
     * Errors: -EINVAL when it is not what the key wants (the caller says so, unless a better sentence has been noted
     * already), -ENOMEM. */
    int (*read)(struct config_reader *reader, const struct config_key *key, const struct config_scalar *scalar,
                void *field);

    /* Adds what the key wants, to complete `must be ...`. */
    void (*describe)(const struct config_key *key, struct config_text *text);

    int (*parse)(const char *text, size_t size, int64_t *ret_value); /* of what `read` needs it for: quantities */
};

extern const struct config_type config_type_count;    /* unsigned: a whole number from the key's min to max */
extern const struct config_type config_type_number;   /* int64_t: the same */
extern const struct config_type config_type_duration; /* int64_t: milliseconds, from min to max */
extern const struct config_type config_type_size;     /* int64_t: bytes, from min to max */
extern const struct config_type config_type_fraction; /* double: a decimal number from 0 to 1 */
extern const struct config_type config_type_choice;   /* int: an index into the key's choices */
extern const struct config_type config_type_flag;     /* bool: `true` or `false` */
extern const struct config_type config_type_name;     /* char *: of an alphabet; max is its longest size */
extern const struct config_type config_type_wildcard; /* char *: the same, or `*` */
extern const struct config_type config_type_path;     /* char *: made absolute */
extern const struct config_type
    config_type_output; /* char *: `auto`, `journal`, `stderr`, `stdout`, or a path as above */
extern const struct config_type config_type_library; /* char *: a file's name, or an absolute path */

extern const struct config_type config_type_address; /* char *: as config_address_parse() reads it */

/* Replaces the string in a field (a char *, or a const char * that owns its string) and frees the earlier one. */
void config_string_replace(void *field, char *text);
