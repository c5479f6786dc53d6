#include "daemon/config/config.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/cleanup.h"
#include "daemon/config/defaults.h"
#include "daemon/config/document.h"
#include "daemon/config/walk.h"

#define DEFAULT_PATH "/etc/weft/weftd.yaml"

/* ---- Where it is ---- */

/* Below the prefix that this program was installed to, /usr/local for instance, if there is one; the configuration of
 * /usr is in the root. On success the path is the caller's. Gives NULL where there is no memory. */
static char *find_default(void)
{
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - 1);
    char *path;

    program[size > 0 ? size : 0] = '\0';
    char *name = strrchr(program, '/');
    if (name)
        *name = '\0';
    char *folder = name ? strrchr(program, '/') : NULL;
    if (!folder || folder == program || (strcmp(folder, "/sbin") != 0 && strcmp(folder, "/bin") != 0))
        return strdup(DEFAULT_PATH);
    *folder = '\0';
    if (strcmp(program, "/usr") == 0)
        return strdup(DEFAULT_PATH);
    if (asprintf(&path, "%s" DEFAULT_PATH, program) < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return strdup(DEFAULT_PATH);
}

/* ---- Loading ---- */

static int find_folder(struct config_reader *reader)
{
    CLEANUP_FREE char *path = strdup(reader->file);
    int r;

    if (!path)
        return -ENOMEM;
    reader->folder = realpath(dirname(path), NULL);
    if (reader->folder || errno == ENOMEM)
        return reader->folder ? 0 : -ENOMEM;
    r = -errno;
    if (config_reader_fail(reader, (struct config_mark){0, 0}, "its folder cannot be found: %s", strerror(-r)) ==
        -ENOMEM)
        return -ENOMEM;
    return r;
}

static int fill(struct config_reader *reader)
{
    yaml_document_t document;

    assert(reader->config && !reader->message);
    int r = config_document_load(reader, &document);

    if (r < 0)
        return r;
    reader->document = &document;
    r = find_folder(reader);
    if (r == 0)
        r = config_defaults_set(reader->config);
    if (r == 0)
        r = config_walk(reader);
    yaml_document_delete(&document);
    return r;
}

int config_load(const char *path, struct config **ret_config, char **ret_message)
{
    struct config_reader reader = {.config = calloc(1, sizeof(struct config))};
    int r = -ENOMEM;

    if (reader.config)
        reader.config->path = path ? strdup(path) : find_default();
    if (reader.config && reader.config->path) {
        reader.file = reader.config->path;
        r = fill(&reader);
    }
    free(reader.folder);
    if (r < 0) {
        config_free(reader.config);
        *ret_message = reader.message;
        return r;
    }
    *ret_config = reader.config;
    return 0;
}

const struct config_job *config_find_job(const struct config *config, const char *type)
{
    for (size_t i = 0; i < config->job_count; i++) {
        if (strcmp(config->jobs[i].type, type) == 0)
            return &config->jobs[i];
    }
    return NULL;
}

/* ---- Freeing, however little there is ---- */

static void free_strings(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i].text);
    free(strings->items);
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    free(config->redis.url);
    free(config->redis.host);
    free(config->redis.username);
    free(config->redis.socket_path);
    free(config->redis.password_file);
    free(config->redis.password);
    free(config->redis.prefix);
    free(config->redis.dir);
    for (size_t i = 0; i < config->queue_count; i++)
        free((char *)config->queues[i].name);
    free(config->queues);
    for (size_t i = 0; i < config->job_count; i++) {
        free(config->jobs[i].type);
        free_strings(&config->jobs[i].chain);
    }
    free(config->jobs);
    free_strings(&config->plugins);
    free_strings(&config->log.outputs);
    free_strings(&config->context.follow_threads_of);
    free_strings(&config->context.follow_events_of);
    free_strings(&config->log.fields);
    free(config->http.listen);
    free(config->node);
    free(config->path);
    free(config);
    return NULL;
}
