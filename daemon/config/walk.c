#include "daemon/config/walk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/keys.h"
#include "daemon/config/table.h"

/* How a key of one shape is read from its value, and what happens where it is not given. `name` is the key's own node;
 * `base` is the section's struct. */
struct shape {
    int (*read)(struct config_reader *reader, const struct config_key *key, const yaml_node_t *name,
                const yaml_node_t *value, void *base);
    int (*fall_back)(struct config_reader *reader, const struct config_key *key, void *base);
};

static int walk_section(struct config_reader *reader, const struct config_section *section, struct config_mark mark,
                        const yaml_node_t *map, void *base);

static void *field_of(void *base, size_t offset)
{
    return (char *)base + offset;
}

/* ---- Single values ---- */

static int fail_value(struct config_reader *reader, const struct config_key *key, const yaml_node_t *value)
{
    struct config_text wanted = {0};
    struct config_text given = config_node_describe(value);

    key->type->describe(key, &wanted);
    return config_reader_fail(reader, config_node_mark(value), "%s\"%s\" must be %s, not %s",
                              key->shape == CONFIG_SCALARS ? "each of " : "", reader->key_path, wanted.text,
                              given.text);
}

static int read_node(struct config_reader *reader, const struct config_key *key, const yaml_node_t *value, void *field)
{
    struct config_scalar scalar;
    int r;

    if (value->type != YAML_SCALAR_NODE || config_node_is_empty(value))
        return fail_value(reader, key, value);
    scalar = (struct config_scalar){(const char *)value->data.scalar.value, value->data.scalar.length,
                                    config_node_mark(value)};
    r = key->type->read(reader, key, &scalar, field);
    return r == -EINVAL && !reader->message ? fail_value(reader, key, value) : r;
}

static int read_fallback(struct config_reader *reader, const struct config_key *key, void *field)
{
    struct config_scalar scalar = {key->fallback, strlen(key->fallback), {0, 0}};

    return key->type->read(reader, key, &scalar, field);
}

static int walk_scalar(struct config_reader *reader, const struct config_key *key, const yaml_node_t *name,
                       const yaml_node_t *value, void *base)
{
    (void)name;
    return read_node(reader, key, value, field_of(base, key->offset));
}

static int fall_back_to_scalar(struct config_reader *reader, const struct config_key *key, void *base)
{
    return key->fallback ? read_fallback(reader, key, field_of(base, key->offset)) : 0;
}

/* ---- Lists ---- */

/* Appends a zeroed item to an array. What is in the array is freed with the configuration, however far it got. */
static int grow(void *items_field, size_t *count, size_t item_size, void **ret_item)
{
    char *items;

    assert(item_size > 0);
    memcpy(&items, items_field, sizeof(items));
    items = reallocarray(items, *count + 1, item_size);
    if (!items)
        return -ENOMEM;
    memcpy(items_field, &items, sizeof(items));
    *ret_item = memset(items + *count * item_size, 0, item_size);
    ++*count;
    return 0;
}

static int add_string(struct config_strings *strings, struct config_mark mark, char ***ret_field)
{
    void *item;
    int r = grow(&strings->items, &strings->count, sizeof(*strings->items), &item);

    if (r < 0)
        return r;
    ((struct config_string *)item)->mark = mark;
    *ret_field = &((struct config_string *)item)->text;
    return 0;
}

static int read_string(struct config_reader *reader, const struct config_key *key, const yaml_node_t *value, void *base)
{
    char **field;
    int r = add_string(field_of(base, key->offset), config_node_mark(value), &field);

    return r < 0 ? r : read_node(reader, key, value, field);
}

static int fall_back_to_string(struct config_reader *reader, const struct config_key *key, void *base)
{
    char **field;
    int r;

    if (!key->fallback)
        return 0;
    r = add_string(field_of(base, key->offset), (struct config_mark){0, 0}, &field);
    return r < 0 ? r : read_fallback(reader, key, field);
}

/* Reads the items of a list one by one. A list all of whose items are commented out is an empty one. */
static int walk_list(struct config_reader *reader, const struct config_key *key, const yaml_node_t *value, void *base,
                     int (*read)(struct config_reader *reader, const struct config_key *key, const yaml_node_t *value,
                                 void *base))
{
    int r = 0;

    if (config_node_is_empty(value) && !key->min)
        return 0;
    if (value->type != YAML_SEQUENCE_NODE ||
        (key->min && value->data.sequence.items.start == value->data.sequence.items.top)) {
        struct config_text wanted = {0}, given = config_node_describe(value);

        if (key->shape == CONFIG_SCALARS) {
            config_text_add(&wanted, "%s", key->items);
        } else {
            config_text_add(&wanted, "maps with ");
            config_keys_describe(key->section, &wanted);
        }
        return config_reader_fail(reader, config_node_mark(value), "\"%s\" must be a list of %s%s, not %s",
                                  reader->key_path, key->min ? "one or more " : "", wanted.text, given.text);
    }
    for (const yaml_node_item_t *item = value->data.sequence.items.start;
         item < value->data.sequence.items.top && r == 0; item++)
        r = read(reader, key, yaml_document_get_node(reader->document, *item), base);
    return r;
}

static int walk_scalars(struct config_reader *reader, const struct config_key *key, const yaml_node_t *name,
                        const yaml_node_t *value, void *base)
{
    (void)name;
    if (key->one_or_all && value->type == YAML_SCALAR_NODE && !config_node_is_empty(value))
        return read_string(reader, key, value, base);
    return walk_list(reader, key, value, base, read_string);
}

/* ---- Maps ---- */

static int fail_map(struct config_reader *reader, const struct config_key *key, const yaml_node_t *value)
{
    struct config_text wanted = {0};
    struct config_text given = config_node_describe(value);

    config_keys_describe(key->section, &wanted);
    return config_reader_fail(reader, config_node_mark(value), "%s\"%s\" must be a map with %s, not %s",
                              key->shape == CONFIG_MAPS ? "each of " : "", reader->key_path, wanted.text, given.text);
}

/* A map all of whose keys are commented out is an empty one. */
static int walk_map(struct config_reader *reader, const struct config_key *key, struct config_mark mark,
                    const yaml_node_t *value, void *base)
{
    if (value->type == YAML_MAPPING_NODE)
        return walk_section(reader, key->section, mark, value, base);
    return config_node_is_empty(value) ? walk_section(reader, key->section, mark, NULL, base)
                                       : fail_map(reader, key, value);
}

static int walk_section_value(struct config_reader *reader, const struct config_key *key, const yaml_node_t *name,
                              const yaml_node_t *value, void *base)
{
    return walk_map(reader, key, config_node_mark(name), value, field_of(base, key->offset));
}

static int fall_back_to_section(struct config_reader *reader, const struct config_key *key, void *base)
{
    return walk_section(reader, key->section, (struct config_mark){0, 0}, NULL, field_of(base, key->offset));
}

static int add_map(const struct config_key *key, void *base, void **ret_item)
{
    return grow(field_of(base, key->offset), field_of(base, key->count_offset), key->section->item_size, ret_item);
}

static int read_map(struct config_reader *reader, const struct config_key *key, const yaml_node_t *value, void *base)
{
    void *item;
    int r;

    if (value->type != YAML_MAPPING_NODE)
        return fail_map(reader, key, value);
    r = add_map(key, base, &item);
    return r < 0 ? r : walk_section(reader, key->section, config_node_mark(value), value, item);
}

static int walk_maps(struct config_reader *reader, const struct config_key *key, const yaml_node_t *name,
                     const yaml_node_t *value, void *base)
{
    int r = walk_list(reader, key, value, base, read_map);

    (void)name;
    return r < 0 ? r : config_keys_check_unique(reader, key->section, value);
}

static int read_named_map(struct config_reader *reader, const struct config_key *key, const yaml_node_t *name,
                          const yaml_node_t *value, void *base)
{
    const char *text = (const char *)name->data.scalar.value;
    size_t outer;
    void *item;
    int r = add_map(key, base, &item);

    if (r < 0)
        return r;
    r = key->section->begin(reader, text, config_node_mark(name), item);
    if (r < 0)
        return r;
    outer = config_reader_enter(reader, text);
    r = walk_map(reader, key, config_node_mark(name), value, item);
    config_reader_leave(reader, outer);
    return r;
}

static int walk_named_maps(struct config_reader *reader, const struct config_key *key, const yaml_node_t *name,
                           const yaml_node_t *value, void *base)
{
    int r;

    (void)name;
    if (config_node_is_empty(value))
        return 0;
    if (value->type != YAML_MAPPING_NODE) {
        struct config_text wanted = {0}, given = config_node_describe(value);

        config_keys_describe(key->section, &wanted);
        return config_reader_fail(reader, config_node_mark(value),
                                  "\"%s\" must be a map from names to maps with %s, not %s", reader->key_path,
                                  wanted.text, given.text);
    }
    r = config_keys_check_names(reader, key, value);
    for (const yaml_node_pair_t *pair = value->data.mapping.pairs.start; pair < value->data.mapping.pairs.top && r == 0;
         pair++)
        r = read_named_map(reader, key, yaml_document_get_node(reader->document, pair->key),
                           yaml_document_get_node(reader->document, pair->value), base);
    return r;
}

/* ---- Sections ---- */

static int fall_back_to_nothing(struct config_reader *reader, const struct config_key *key, void *base)
{
    (void)reader;
    (void)key;
    (void)base;
    return 0;
}

static const struct shape shapes[] = {
    [CONFIG_SCALAR] = {walk_scalar, fall_back_to_scalar},
    [CONFIG_SCALARS] = {walk_scalars, fall_back_to_string},
    [CONFIG_SECTION] = {walk_section_value, fall_back_to_section},
    [CONFIG_MAPS] = {walk_maps, fall_back_to_nothing},
    [CONFIG_NAMED_MAPS] = {walk_named_maps, fall_back_to_nothing},
    /* Given ones have been refused by config_keys_check(). */
    [CONFIG_UNSUPPORTED] = {NULL, fall_back_to_nothing},
};

static int walk_key(struct config_reader *reader, const struct config_key *key, struct config_mark mark,
                    const yaml_node_t *map, void *base)
{
    const struct shape *shape = &shapes[key->shape];
    const yaml_node_t *name = NULL;
    const yaml_node_t *value = config_map_find(reader, map, key->name, &name);
    size_t outer;
    int r;

    assert(value ? shape->read != NULL : shape->fall_back != NULL);
    if (!value && key->required)
        return config_reader_fail(reader, mark, "\"%s\" needs the key \"%s\": %s", reader->key_path, key->name,
                                  key->doc);
    outer = config_reader_enter(reader, key->name);
    r = value ? shape->read(reader, key, name, value, base) : shape->fall_back(reader, key, base);
    config_reader_leave(reader, outer);
    return r;
}

/* Reads the keys in the order of the table, so that a row may build on those before it. `mark` is where the section
 * begins, and `map` is NULL where nothing of it is given. */
static int walk_section(struct config_reader *reader, const struct config_section *section, struct config_mark mark,
                        const yaml_node_t *map, void *base)
{
    assert(section->keys && base);
    int r = map ? config_keys_check(reader, section, map) : 0;

    for (const struct config_key *key = section->keys; key->name && r == 0; key++)
        r = walk_key(reader, key, mark, map, base);
    if (r == 0 && section->finish)
        r = section->finish(reader, map, base);
    return r;
}

int config_walk(struct config_reader *reader)
{
    assert(reader->config && reader->document && reader->folder);
    return walk_section(reader, &config_table, (struct config_mark){1, 1},
                        yaml_document_get_root_node(reader->document), reader->config);
}
