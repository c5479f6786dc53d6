#include "daemon/config/reader.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "context/cleanup.h"
#include "context/macros.h"

int config_reader_fail(struct config_reader *reader, struct config_mark mark, const char *format, ...)
{
    CLEANUP_FREE char *sentence = NULL;
    va_list args;
    int size;

    if (reader->message)
        return -EINVAL;
    va_start(args, format);
    size = vasprintf(&sentence, format, args);
    va_end(args);
    if (size < 0) {
        sentence = NULL;
        return -ENOMEM;
    }
    if (mark.line > 0)
        size = asprintf(&reader->message, "%s:%u:%u: %s", reader->file, mark.line, mark.column, sentence);
    else
        size = asprintf(&reader->message, "%s: %s", reader->file, sentence);
    if (size < 0) {
        reader->message = NULL;
        return -ENOMEM;
    }
    return -EINVAL;
}

size_t config_reader_enter(struct config_reader *reader, const char *key)
{
    size_t outer = strlen(reader->key_path);

    snprintf(reader->key_path + outer, sizeof(reader->key_path) - outer, "%s%s", outer > 0 ? "." : "", key);
    return outer;
}

void config_reader_leave(struct config_reader *reader, size_t outer)
{
    assert(outer <= strlen(reader->key_path));
    reader->key_path[outer] = '\0';
}

char *config_reader_resolve(const struct config_reader *reader, const char *path)
{
    char *resolved;

    assert(reader->folder);
    if (path[0] == '/')
        return strdup(path);
    return asprintf(&resolved, "%s/%s", reader->folder, path) < 0 ? NULL : resolved;
}

struct config_mark config_node_mark(const yaml_node_t *node)
{
    if (!node)
        return (struct config_mark){0, 0};
    return (struct config_mark){(unsigned)node->start_mark.line + 1, (unsigned)node->start_mark.column + 1};
}

bool config_node_is_empty(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ELEMENTS(words); i++) {
        if (strcmp((const char *)node->data.scalar.value, words[i]) == 0)
            return true;
    }
    return false;
}

struct config_text config_node_describe(const yaml_node_t *node)
{
    struct config_text text = {0};

    if (node->type == YAML_MAPPING_NODE)
        config_text_add(&text, "a map");
    else if (node->type == YAML_SEQUENCE_NODE && node->data.sequence.items.start == node->data.sequence.items.top)
        config_text_add(&text, "an empty list");
    else if (node->type == YAML_SEQUENCE_NODE)
        config_text_add(&text, "a list");
    else if (config_node_is_empty(node))
        config_text_add(&text, "an empty value");
    else
        config_text_add_quoted(&text, (const char *)node->data.scalar.value, node->data.scalar.length);
    return text;
}

const yaml_node_t *config_map_find(const struct config_reader *reader, const yaml_node_t *map, const char *key,
                                   const yaml_node_t **ret_key)
{
    if (!map)
        return NULL;
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(reader->document, pair->key);

        if (strcmp((const char *)name->data.scalar.value, key) != 0)
            continue;
        if (ret_key)
            *ret_key = name;
        return yaml_document_get_node(reader->document, pair->value);
    }
    return NULL;
}
