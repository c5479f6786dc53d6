/*
 * Configuration files: the input is what the file holds. Either all of it is understood, and then every value is within
 * its bounds, or one line says what is wrong, and where.
 *
 * config_file_read(), the only way from the parser to the disk, is replaced by one that knows a few files of its own,
 * so that no input can have a file of the machine read.
 */
#include <errno.h>

#include "daemon/config/config.h"
#include "daemon/config/file.h"
#include "tests/fuzz/support.h"

#define CONFIG_FILE  "/etc/weft/weftd.yaml"
#define PASSWORD_END "horse"
#define PASSWORD     "correct " PASSWORD_END
#define DAY          (INT64_C(24) * 60 * 60 * 1000)

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* ---- Files ---- */

/* What the configuration's file holds. */
static const uint8_t *config_bytes;
static size_t config_size;

static const struct file {
    const char *path;
    int error;
    const char *text;
} files[] = {
    {"/password", 0, PASSWORD "\n"},
    {"/credentials/redis", 0, PASSWORD},
    {"/empty", 0, "\n"},
    {"/two", 0, PASSWORD "\n\n"},
    {"/large", -EFBIG, NULL},
    {"/secret", -EACCES, NULL},
};

int __wrap_config_file_read(const char *path, size_t max, char **ret_text, size_t *ret_size);

int __wrap_config_file_read(const char *path, size_t max, char **ret_text, size_t *ret_size)
{
    if (strcmp(path, CONFIG_FILE) == 0 && config_size > max)
        return -EFBIG;
    if (strcmp(path, CONFIG_FILE) == 0) {
        *ret_text = fuzz_copy_text(config_bytes, config_size);
        *ret_size = config_size;
        return 0;
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (strcmp(path, files[i].path) != 0)
            continue;
        if (files[i].error < 0)
            return files[i].error;
        *ret_text = fuzz_copy_text(files[i].text, strlen(files[i].text));
        *ret_size = strlen(files[i].text);
        return 0;
    }
    return -ENOENT;
}

/* What the parser asks the machine for: slow, and not the same everywhere. */
char *__wrap_realpath(const char *path, char *resolved);
int __wrap_get_nprocs(void);

char *__wrap_realpath(const char *path, char *resolved)
{
    REQUIRE(strcmp(path, "/etc/weft") == 0 && !resolved, "the folder of \"%s\" is asked for", path);
    return strdup(path);
}

int __wrap_get_nprocs(void)
{
    return 2;
}

/* ---- What is right ---- */

static void check_range(const char *what, int64_t value, int64_t min, int64_t max)
{
    REQUIRE(value >= min && value <= max, "%s is %lld", what, (long long)value);
}

static void check_name(const char *what, const char *name, size_t max)
{
    REQUIRE(name && strlen(name) >= 1 && strlen(name) <= max && !name[strspn(name, NAME_CHARACTERS)], "%s is \"%s\"",
            what, name ? name : "missing");
}

static void check_path(const char *what, const char *path)
{
    REQUIRE(path && path[0] == '/' && strlen(path) < 4096, "%s is \"%s\"", what, path ? path : "missing");
}

static void check_backoff(const struct config_backoff *backoff)
{
    check_range("base", backoff->base_ms, 1, 7 * DAY);
    check_range("max", backoff->max_ms, backoff->base_ms, 7 * DAY);
    REQUIRE(backoff->jitter >= 0 && backoff->jitter <= 1, "jitter is %g", backoff->jitter);
}

static void check_redis(const struct config *config)
{
    bool tcp = config->redis.kind == CONFIG_REDIS_TCP;

    REQUIRE(config->redis.url, "no URL");
    REQUIRE(tcp == (config->redis.host != NULL) && tcp == !config->redis.socket_path, "a host and a socket, or none");
    if (tcp)
        check_range("port", config->redis.port, 1, 65535);
    else
        check_path("socket", config->redis.socket_path);
    REQUIRE(tcp || strlen(config->redis.socket_path) <= 107, "a socket's path that is too long");
    check_range("database", config->redis.database, 0, 65535);
    check_name("prefix", config->redis.prefix, 64);
    REQUIRE(!config->redis.password == !config->redis.password_file, "a password and no file, or the reverse");
    REQUIRE(!config->redis.password || strcmp(config->redis.password, PASSWORD) == 0, "the password is another");
}

static void check_queues(const struct config *config)
{
    REQUIRE(config->queue_count >= 1, "no queue");
    for (size_t i = 0; i < config->queue_count; i++) {
        check_name("a queue", config->queues[i].name, 128);
        check_range("weight", config->queues[i].weight, 1, 1000);
        for (size_t j = 0; j < i; j++)
            REQUIRE(strcmp(config->queues[i].name, config->queues[j].name) != 0, "a queue twice");
    }
}

static void check_jobs(const struct config *config)
{
    for (size_t i = 0; i < config->job_count; i++) {
        const struct config_job *job = &config->jobs[i];

        check_name("a type", job->type, 128);
        REQUIRE(config_find_job(config, job->type) == job, "a type twice");
        REQUIRE(job->chain.count >= 1, "an empty chain");
        for (size_t j = 0; j < job->chain.count; j++)
            check_name("a handler", job->chain.items[j].text, 128);
        check_range("attempts", job->attempts, 1, 1000);
        check_range("timeout", job->timeout_ms, 1, 7 * DAY);
        check_backoff(&job->backoff);
    }
}

static void check_log(const struct config *config)
{
    check_range("level", config->log.level, 0, 3);
    check_range("format", config->log.format, CONFIG_LOG_AUTO, CONFIG_LOG_JSON);
    for (size_t i = 0; i < config->log.fields.count; i++) {
        if (strcmp(config->log.fields.items[i].text, "*") != 0)
            check_name("a field", config->log.fields.items[i].text, 128);
    }
    for (size_t i = 0; i < config->log.outputs.count; i++) {
        const char *output = config->log.outputs.items[i].text;

        if (strcmp(output, "auto") != 0 && strcmp(output, "stderr") != 0 && strcmp(output, "stdout") != 0)
            check_path("output", output);
    }
}

static void check_config(const struct config *config)
{
    REQUIRE(strcmp(config->path, CONFIG_FILE) == 0, "the path is another");
    check_redis(config);
    check_name("node", config->node, 64);
    check_range("workers", config->workers, 1, 1024);
    check_range("concurrency", config->concurrency, 1, 100000);
    REQUIRE(config->max_rss == 0 || config->max_rss >= 16 << 20, "max_rss is %lld", (long long)config->max_rss);
    check_range("held", config->held, 1 << 20, INT64_C(1) << 40);
    check_range("threads", config->offload.threads, 1, 1024);
    check_range("buffer", config->log.buffer, 1 << 20, 1 << 30);
    check_range("when_full", config->log.when_full, CONFIG_LOG_BLOCK, CONFIG_LOG_DROP);
    check_range("lease", config->lease_ms, 2000, DAY);
    check_range("shutdown_timeout", config->shutdown_timeout_ms, 0, DAY / 24);
    check_queues(config);
    for (size_t i = 0; i < config->plugins.count; i++)
        check_path("a plugin", config->plugins.items[i].text);
    check_range("attempts", config->defaults.attempts, 1, 1000);
    check_range("timeout", config->defaults.timeout_ms, 1, 7 * DAY);
    check_backoff(&config->defaults.backoff);
    check_jobs(config);
    check_range("done", config->keep.done_ms, 1000, 3650 * DAY);
    check_range("done_max", config->keep.done_max, 1, 100000000);
    check_range("failed", config->keep.failed_ms, 1000, 3650 * DAY);
    check_range("dead", config->keep.dead, 1, 100000000);
    check_range("payload", config->limits.payload, 1, 64 << 20);
    check_log(config);
    REQUIRE(config->queue_options.queue_count == config->queue_count &&
                config->queue_options.password == config->redis.password,
            "the options of the queues are others");
}

/* ---- What is wrong ---- */

static void check_message(const char *message)
{
    unsigned line = 0, column = 0;
    int size = 0;

    REQUIRE(message, "an error, and no message");
    fuzz_check_line(message, strlen(message));
    (void)sscanf(message, CONFIG_FILE ":%u:%u: %n", &line, &column, &size);
    REQUIRE(size > 0 && message[size], "no place, or no sentence: %s", message);
    REQUIRE(line >= 1 && line <= config_size + 1 && column >= 1 && column <= config_size + 1,
            "a place outside of the file: %s", message);
    /* YAML can put the words together, but not make them up. */
    REQUIRE(!strstr(message, PASSWORD) || memmem(config_bytes, config_size, PASSWORD_END, strlen(PASSWORD_END)),
            "the password is in the message: %s", message);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("CREDENTIALS_DIRECTORY", "/credentials", 1) | setenv("HOME", "/root", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct config *config = NULL;
    char *message = NULL;
    int r;

    config_bytes = bytes;
    config_size = size;
    r = config_load(CONFIG_FILE, &config, &message);
    REQUIRE(r == 0 || r == -EINVAL, "the result is %d", r);
    REQUIRE((r == 0) == (config != NULL) && (r == 0) == !message, "a result of %d and the wrong pointers", r);
    if (config)
        check_config(config);
    else
        check_message(message);
    config_free(config);
    free(message);
    return 0;
}
