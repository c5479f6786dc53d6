#include "daemon/config/document.h"

#include <errno.h>
#include <string.h>

#include "context/cleanup.h"
#include "context/macros.h"
#include "daemon/config/file.h"

#define FILE_SIZE_MAX (4 * 1024 * 1024)

#define BYTE_ORDER_MARK      "\xef\xbb\xbf"
#define BYTE_ORDER_MARK_SIZE 3

#define TAG_PREFIX "tag:yaml.org,2002:"

static struct config_mark mark_from_yaml(yaml_mark_t mark)
{
    return (struct config_mark){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* What libyaml says is right, but seldom what helps. */
static const struct hint {
    const char *said; /* its context or its problem */
    const char *hint;
} hints[] = {
    {"while scanning an alias", "; a * that stands for itself is written '*'"},
    {"mapping values are not allowed in this context",
     "; check the indentation, and put a value with \": \" in quotes"},
    {"could not find expected ':'", "; after a key come a colon and a blank"},
    {"did not find expected key", "; keys that belong together begin in the same column"},
    {"did not find expected ',' or ']'", "; a list that begins with [ ends with ]"},
    {"did not find expected ',' or '}'", "; a map that begins with { ends with }"},
    {"found character that cannot start any token",
     "; indent with blanks, not with tabs, and put @, ` and % in quotes"},
    {"found undefined alias", "; a value that begins with * needs quotes"},
};

static int fail_parse(struct config_reader *reader, const yaml_parser_t *parser, const char *text)
{
    /* libyaml forgets to say so in some of the places where it runs out of memory. */
    if (parser->error == YAML_MEMORY_ERROR || !parser->problem)
        return -ENOMEM;
    if (parser->error == YAML_READER_ERROR) {
        struct config_mark mark = {1, 1};

        /* The one kind of error that libyaml gives no mark for. Columns count characters, as libyaml's do. */
        for (size_t i = 0; i < parser->problem_offset; i++) {
            if (text[i] == '\n')
                mark = (struct config_mark){mark.line + 1, 1};
            else if (((unsigned char)text[i] & 0xc0) != 0x80)
                mark.column++;
        }
        return config_reader_fail(
            reader, mark, "this is not plain UTF-8 text: %s; save the file as UTF-8, without control characters",
            parser->problem);
    }
    struct config_mark mark = mark_from_yaml(parser->problem_mark);
    struct config_mark begin = mark_from_yaml(parser->context_mark);
    struct config_text context = {0};
    const char *hint = "";

    if (parser->context)
        config_text_add(&context, "%s", parser->context);
    if (parser->context && (begin.line != mark.line || begin.column != mark.column))
        config_text_add(&context, " (line %u, column %u)", begin.line, begin.column);
    for (size_t i = 0; i < ELEMENTS(hints) && !*hint; i++)
        if (strcmp(hints[i].said, parser->problem) == 0 ||
            (parser->context && strcmp(hints[i].said, parser->context) == 0))
            hint = hints[i].hint;
    return config_reader_fail(reader, mark, "this is not valid YAML: %s%s%s%s", context.text,
                              parser->context ? ", " : "", parser->problem, hint);
}

/* Custom tags are how other programs mark includes, secrets and variables: to read over one would be to take the name
 * of a thing for the thing. */
static bool is_known_tag(const char *tag)
{
    static const char *const known[] = {"str", "int", "float", "bool", "null", "seq", "map"};

    if (strncmp(tag, TAG_PREFIX, strlen(TAG_PREFIX)) != 0)
        return false;
    for (size_t i = 0; i < ELEMENTS(known); i++) {
        if (strcmp(tag + strlen(TAG_PREFIX), known[i]) == 0)
            return true;
    }
    return false;
}

static int check_document(struct config_reader *reader, yaml_document_t *document)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    struct config_text what;

    if (!root)
        return config_reader_fail(reader, (struct config_mark){1, 1},
                                  "the file is empty; write at least one key, such as \"jobs:\"");
    for (const yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
        struct config_text quoted = {0};
        const char *tag = (const char *)node->tag;

        if (!is_known_tag(tag)) {
            config_text_add_quoted(&quoted, tag, strlen(tag));
            return config_reader_fail(reader, config_node_mark(node),
                                      "the tag %s means nothing here; write the value itself, without a tag",
                                      quoted.text);
        }
        if (node->type == YAML_SCALAR_NODE && strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
            return config_reader_fail(reader, config_node_mark(node), "a value must not contain a NUL byte (\\0)");
    }
    if (root->type == YAML_MAPPING_NODE)
        return 0;
    what = config_node_describe(root);
    return config_reader_fail(reader, config_node_mark(root),
                              "the configuration must be a map of keys to values, such as \"workers: 2\", not %s",
                              what.text);
}

static int parse(struct config_reader *reader, yaml_parser_t *parser, const char *text, yaml_document_t *ret_document)
{
    yaml_document_t document, next;
    int r;

    if (!yaml_parser_load(parser, &document))
        return fail_parse(reader, parser, text);
    r = check_document(reader, &document);
    if (r == 0 && !yaml_parser_load(parser, &next)) {
        r = fail_parse(reader, parser, text);
    } else if (r == 0) {
        /* What follows the document: nothing, or it would be read by nobody. */
        if (yaml_document_get_root_node(&next))
            r = config_reader_fail(reader, mark_from_yaml(next.start_mark),
                                   "a second YAML document begins here; the configuration is a single one");
        yaml_document_delete(&next);
    }
    if (r < 0) {
        yaml_document_delete(&document);
        return r;
    }
    *ret_document = document;
    return 0;
}

int config_document_load(struct config_reader *reader, yaml_document_t *ret_document)
{
    CLEANUP_FREE char *file = NULL;
    const char *text;
    yaml_parser_t parser;
    size_t size;
    int r = config_file_read(reader->file, FILE_SIZE_MAX, &file, &size);

    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        struct config_mark nowhere = {0, 0};
        int failed = r == -EFBIG
                         ? config_reader_fail(reader, nowhere, "is larger than %d MiB; a configuration is smaller",
                                              FILE_SIZE_MAX / (1024 * 1024))
                         : config_reader_fail(reader, nowhere, "cannot be read: %s", strerror(-r));

        return failed == -ENOMEM ? failed : r;
    }
    text = file;
    if (strncmp(text, BYTE_ORDER_MARK, BYTE_ORDER_MARK_SIZE) == 0) {
        text += BYTE_ORDER_MARK_SIZE;
        size -= BYTE_ORDER_MARK_SIZE;
    }
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    r = parse(reader, &parser, text, ret_document);
    yaml_parser_delete(&parser);
    return r;
}
