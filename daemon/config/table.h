/*
 * The table of all keys: what there is to configure, how it is written, and where in struct config it goes. Whoever
 * adds a key adds a row, and a field.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config/reader.h"
#include "daemon/config/value.h"

enum config_shape {
    CONFIG_SCALAR,      /* one value of the key's type */
    CONFIG_SCALARS,     /* a list of them, in a struct config_strings */
    CONFIG_SECTION,     /* a map of keys of its own */
    CONFIG_MAPS,        /* a list of maps, in an array of structs */
    CONFIG_NAMED_MAPS,  /* a map from names, which users choose, to maps; the same array */
    CONFIG_UNSUPPORTED, /* promised, but not in this version */
};

struct config_key {
    const char *name; /* NULL ({0}) after the last key of a section */
    enum config_shape shape;
    const struct config_type *type;       /* of the value or the values; of named maps, of the names */
    const struct config_section *section; /* the keys of a section, or of each map */

    size_t offset;       /* of the field, the section's struct, or the array's pointer */
    size_t count_offset; /* of the array's count */

    /* As people write them. `fallback` is the value where the key is not given; NULL: what the field holds already.
     * Of lists, `min` is "1" where an empty one is a mistake. */
    const char *fallback;
    const char *min;
    const char *max;
    const char *const *choices; /* of config_type_choice, NULL after the last */
    const char *items;          /* of a list of values: what they are, in the plural */

    bool required;   /* in each map */
    bool unique;     /* of a string: differs from that of the list's other maps */
    bool one_or_all; /* of a list of values: a single one need not be a list */

    const char *doc; /* what it is for, in a few words */
};

struct config_section {
    const struct config_key *keys;
    size_t item_size; /* of the struct, for maps in an array */

    /* Prepares the struct of a named map before its keys are read. Errors: -ENOMEM. */
    int (*begin)(struct config_reader *reader, const char *name, struct config_mark mark, void *item);

    /* Checks what concerns several keys, and derives what follows from them; may be NULL. `map` is NULL where the whole
     * section is left out. Errors: -EINVAL with a message noted, -ENOMEM. */
    int (*finish)(struct config_reader *reader, const yaml_node_t *map, void *base);
};

/* The whole file; its struct is struct config. */
extern const struct config_section config_table;
