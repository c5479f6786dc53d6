/*
 * One reading of one configuration file: what the parts of the reader share, above all how they say what is wrong.
 */
#pragma once

#include <yaml.h>

#include "context/macros.h"
#include "daemon/config/config.h"
#include "daemon/config/text.h"

#define CONFIG_KEY_PATH_SIZE 256

struct config_reader {
    const char *file; /* as the user named it */
    char *folder;     /* the file's, absolute: where relative paths begin */
    yaml_document_t *document;
    struct config *config;
    char key_path[CONFIG_KEY_PATH_SIZE]; /* of what is being read: `jobs.mail.timeout`; "" for the whole file */
    char *message;                       /* the sentence about the first mistake */
};

/* Notes a mistake: `FILE:LINE:COLUMN: ` (or `FILE: ` where the mark is {0}) and a sentence (printf's). Only the first
 * one counts. Gives -EINVAL, or -ENOMEM. */
int config_reader_fail(struct config_reader *reader, struct config_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4), warn_unused_result));

/* Adds a key to the path, and gives what config_reader_leave() takes to remove it again. */
size_t config_reader_enter(struct config_reader *reader, const char *key);
void config_reader_leave(struct config_reader *reader, size_t outer);

/* The absolute form of a path in the file, which begins in the file's folder when it is relative; the caller's to free.
 * NULL: out of memory. */
char *config_reader_resolve(const struct config_reader *reader, const char *path) MUST_CHECK;

/* Where a node begins; {0} for NULL. */
struct config_mark config_node_mark(const yaml_node_t *node);

/* Whether somebody wrote a key and no value. */
bool config_node_is_empty(const yaml_node_t *node);

/* What a node is, to end a sentence with: its text in quotes, `a list`, and so on. */
struct config_text config_node_describe(const yaml_node_t *node);

/* The value of `key` in a map, or NULL; `map` may be NULL. `ret_key` (may be NULL) receives the key's own node. */
const yaml_node_t *config_map_find(const struct config_reader *reader, const yaml_node_t *map, const char *key,
                                   const yaml_node_t **ret_key);
