/*
 * For tests of the configuration: a folder of its own, which is the working directory, and files in it.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config/config.h"

#define CONFIG_FILE "weftd.yaml"

static char config_support_folder[] = "/tmp/weft-config-XXXXXX";

static inline int config_support_set_up(void **state)
{
    (void)state;
    /* Others than root look into it too, where a test gives up root's rights. */
    return mkdtemp(config_support_folder) && chdir(config_support_folder) == 0 && chmod(".", 0755) == 0 ? 0 : -1;
}

static inline int config_support_tear_down(void **state)
{
    DIR *folder = opendir(".");
    struct dirent *entry;

    (void)state;
    if (!folder)
        return -1;
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] != '.')
            (void)remove(entry->d_name);
    }
    closedir(folder);
    return chdir("/") == 0 && rmdir(config_support_folder) == 0 ? 0 : -1;
}

static inline void config_support_write_bytes(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(name, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void config_support_write(const char *name, const char *text)
{
    config_support_write_bytes(name, text, strlen(text));
}

/* Loads a text that must be right; to be freed by the caller. */
static inline struct config *config_support_load(const char *text)
{
    struct config *config = NULL;
    char *message = NULL;

    config_support_write(CONFIG_FILE, text);
    if (config_load(CONFIG_FILE, &config, &message) < 0)
        fail_msg("%s", message);
    return config;
}

/* Loads a file that must be wrong. */
static inline void config_support_assert_refused(const char *path, int error, const char *sentence)
{
    struct config *config = NULL;
    char *message = NULL;
    int r = config_load(path, &config, &message);

    if (r == 0)
        fail_msg("accepted; expected: %s", sentence);
    assert_int_equal(r, error);
    assert_null(config);
    assert_non_null(message);
    assert_string_equal(message, sentence);
    free(message);
}

/* Loads a text that must be wrong. */
static inline void config_support_assert_mistake(const char *text, const char *sentence)
{
    config_support_write(CONFIG_FILE, text);
    config_support_assert_refused(CONFIG_FILE, -EINVAL, sentence);
}

/* That a string stands where it does. */
static inline void config_support_assert_string(const struct config_string *string, const char *text, unsigned line,
                                                unsigned column)
{
    assert_string_equal(string->text, text);
    assert_int_equal(string->mark.line, line);
    assert_int_equal(string->mark.column, column);
}
