#include "daemon/config/keys.h"

#include <errno.h>
#include <string.h>

#include "context/cleanup.h"
#include "daemon/config/suggest.h"

static const char *text_of(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* Adds ` in "PATH"` for a key that is not at the top. */
static void add_place(const struct config_reader *reader, struct config_text *text)
{
    if (reader->key_path[0] != '\0')
        config_text_add(text, " in \"%s\"", reader->key_path);
}

void config_keys_describe(const struct config_section *section, struct config_text *text)
{
    size_t count = 0, index = 0;

    for (const struct config_key *key = section->keys; key->name; key++)
        count += key->shape != CONFIG_UNSUPPORTED;
    config_text_add(text, count == 1 ? "the key " : "the keys ");
    for (const struct config_key *key = section->keys; key->name; key++) {
        if (key->shape != CONFIG_UNSUPPORTED)
            config_text_add_listed(text, key->name, index++, count, "and");
    }
}

/* Whether the key of `pair` is a name, and not among those before it: YAML forbids that, and libyaml does not look. */
static int check_name(struct config_reader *reader, const yaml_node_t *map, const yaml_node_pair_t *pair)
{
    const yaml_node_t *name = yaml_document_get_node(reader->document, pair->key);
    struct config_text text = {0}, given;

    if (name->type != YAML_SCALAR_NODE || config_node_is_empty(name)) {
        given = config_node_describe(name);
        add_place(reader, &text);
        return config_reader_fail(reader, config_node_mark(name), "a key%s must be a name, not %s", text.text,
                                  given.text);
    }
    for (const yaml_node_pair_t *other = map->data.mapping.pairs.start; other < pair; other++) {
        const yaml_node_t *earlier = yaml_document_get_node(reader->document, other->key);

        if (strcmp(text_of(earlier), text_of(name)) != 0)
            continue;
        config_text_add_quoted(&text, text_of(name), name->data.scalar.length);
        add_place(reader, &text);
        return config_reader_fail(reader, config_node_mark(name), "the key %s is given twice; it is on line %u already",
                                  text.text, config_node_mark(earlier).line);
    }
    return 0;
}

static int check_known(struct config_reader *reader, const struct config_section *section, const yaml_node_t *name)
{
    const struct config_key *key = section->keys;
    struct config_text text = {0};

    while (key->name && strcmp(key->name, text_of(name)) != 0)
        key++;
    if (!key->name) {
        const char *suggestion = config_suggest_key(section, text_of(name));

        config_text_add_quoted(&text, text_of(name), name->data.scalar.length);
        add_place(reader, &text);
        if (suggestion)
            return config_reader_fail(reader, config_node_mark(name), "unknown key %s; did you mean \"%s\"?", text.text,
                                      suggestion);
        config_text_add(&text, "; known here: ");
        config_keys_describe(section, &text);
        return config_reader_fail(reader, config_node_mark(name), "unknown key %s", text.text);
    }
    if (key->shape != CONFIG_UNSUPPORTED)
        return 0;
    add_place(reader, &text);
    return config_reader_fail(reader, config_node_mark(name),
                              "the key \"%s\"%s (%s) is not supported by this version of weft; leave it out", key->name,
                              text.text, key->doc);
}

int config_keys_check(struct config_reader *reader, const struct config_section *section, const yaml_node_t *map)
{
    int r = 0;

    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top && r == 0;
         pair++) {
        const yaml_node_t *name = yaml_document_get_node(reader->document, pair->key);

        r = check_name(reader, map, pair);
        if (r == 0)
            r = check_known(reader, section, name);
    }
    return r;
}

int config_keys_check_names(struct config_reader *reader, const struct config_key *key, const yaml_node_t *map)
{
    int r = 0;

    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top && r == 0;
         pair++) {
        const yaml_node_t *name = yaml_document_get_node(reader->document, pair->key);

        r = check_name(reader, map, pair);
        if (r < 0)
            break;
        struct config_scalar scalar = {text_of(name), name->data.scalar.length, config_node_mark(name)};
        CLEANUP_FREE char *copy = NULL;

        r = key->type->read(reader, key, &scalar, &copy);
        if (r == -EINVAL) {
            struct config_text wanted = {0}, given = config_node_describe(name);

            key->type->describe(key, &wanted);
            return config_reader_fail(reader, scalar.mark, "a name in \"%s\" must be %s, not %s", reader->key_path,
                                      wanted.text, given.text);
        }
    }
    return r;
}

/* Whether the value of `key` in `item` is that of a map before it in the list. All of them have been read, so that all
 * are maps with single values. */
static int check_differs(struct config_reader *reader, const struct config_key *key, const yaml_node_t *list,
                         const yaml_node_item_t *item)
{
    const yaml_node_t *value =
        config_map_find(reader, yaml_document_get_node(reader->document, *item), key->name, NULL);

    for (const yaml_node_item_t *other = list->data.sequence.items.start; other < item; other++) {
        const yaml_node_t *earlier =
            config_map_find(reader, yaml_document_get_node(reader->document, *other), key->name, NULL);

        if (strcmp(text_of(earlier), text_of(value)) == 0)
            return config_reader_fail(reader, config_node_mark(value),
                                      "\"%s.%s\" must not be the same twice: \"%s\" is on line %u already",
                                      reader->key_path, key->name, text_of(value), config_node_mark(earlier).line);
    }
    return 0;
}

int config_keys_check_unique(struct config_reader *reader, const struct config_section *section,
                             const yaml_node_t *list)
{
    int r = 0;

    for (const struct config_key *key = section->keys; key->name && r == 0; key++) {
        if (!key->unique)
            continue;
        for (const yaml_node_item_t *item = list->data.sequence.items.start;
             item < list->data.sequence.items.top && r == 0; item++)
            r = check_differs(reader, key, list, item);
    }
    return r;
}
