/*
 * The configuration: one YAML file, read by one table (table.c) into one struct.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context/macros.h"
#include "queue/options.h"

/* Where a value stands in the file, for messages that are found out later than the parsing. */
struct config_mark {
    unsigned line;   /* from 1; 0: a default */
    unsigned column; /* from 1 */
};

struct config_string {
    char *text;
    struct config_mark mark;
};

struct config_strings {
    struct config_string *items;
    size_t count;
};

enum config_redis { CONFIG_REDIS_TCP, CONFIG_REDIS_UNIX, CONFIG_REDIS_EMBEDDED };

struct config_backoff {
    int64_t base_ms;
    int64_t max_ms;
    double jitter; /* 0 to 1 */
};

struct config_job {
    char *type;
    struct config_mark mark;
    struct config_strings chain;
    unsigned attempts; /* as the defaults have it where not said */
    int64_t timeout_ms;
    bool blocking;
    struct config_backoff backoff;
    unsigned concurrency; /* jobs of the type that run at a time in a worker; 0: any number */
};

enum config_log_when_full { CONFIG_LOG_BLOCK, CONFIG_LOG_DROP };
enum config_log_format { CONFIG_LOG_AUTO, CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config {
    char *path; /* of the file */

    struct {
        char *url;
        struct config_mark url_mark;
        enum config_redis kind;
        char *host;
        int port;
        int database;
        char *username;
        char *socket_path; /* also for embedded: <dir>/redis.sock */
        char *password_file;
        char *password; /* what the file held, without the line feed */
        char *prefix;
        char *dir; /* where an embedded Redis keeps its socket and data; NULL: not embedded, and no home to be in */
    } redis;

    char *node;
    unsigned workers;
    unsigned concurrency;
    int64_t held;    /* bytes of messages that a worker holds */
    int64_t max_rss; /* bytes a worker; 0: no limit */
    int64_t lease_ms;
    int64_t shutdown_timeout_ms;

    struct queue_spec *queues; /* at least one */
    size_t queue_count;

    struct config_strings plugins;

    struct {
        unsigned attempts;
        int64_t timeout_ms;
        struct config_backoff backoff;
    } defaults;

    struct config_job *jobs;
    size_t job_count;

    struct {
        int64_t done_ms;
        int64_t done_max;
        int64_t failed_ms;
        int64_t dead;
    } keep;

    struct {
        int64_t payload;
    } limits;

    struct {
        unsigned threads;
    } offload;

    struct {
        struct config_strings follow_threads_of; /* names or paths of libraries */
        struct config_strings follow_events_of;
        bool warn_at_root;
    } context;

    struct {
        int level; /* enum weft_level */
        enum config_log_format format;
        struct config_strings outputs; /* `auto`, `journal`, `stderr`, `stdout`, or a file's path; one or a list */
        struct config_strings fields;  /* names of metadata; `*` for all */
        int64_t buffer;                /* bytes of lines that wait for an output, in each process */
        enum config_log_when_full when_full;
    } log;

    struct {
        char *listen; /* as config_address_parse() reads it; NULL: nowhere */
    } http;

    struct queue_options queue_options; /* points into the rest */
};

/* Reads and checks `path`; NULL: that of the installation, /etc/weft/weftd.yaml, or the same path
 * below the prefix that the program lies in, if there is one. On success `*ret_config` is the caller's, to be given to
 * config_free(). On failure `*ret_message` is a sentence for the user, `FILE:LINE:COLUMN: what is wrong, and what would
 * be right`, to be freed; NULL where there was no memory for one. May wait for the disk. Errors: -ENOENT and the like
 * when it cannot be read, -EINVAL, -ENOMEM. */
int config_load(const char *path, struct config **ret_config, char **ret_message) MUST_CHECK;

/* The job type, or NULL. */
const struct config_job *config_find_job(const struct config *config, const char *type);

struct config *config_free(struct config *config);
