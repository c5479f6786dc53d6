#include "daemon/config/table.h"

#include "daemon/config/password.h"
#include "daemon/config/redis_url.h"
#include "daemon/config/rules.h"

/* Fields are found from the beginning of struct config, except those of structs that occur in several places. */
#define IN_CONFIG(field_)      .offset = offsetof(struct config, field_)
#define IN_QUEUE(field_)       .offset = offsetof(struct queue_spec, field_)
#define IN_JOB(field_)         .offset = offsetof(struct config_job, field_)
#define IN_BACKOFF(field_)     .offset = offsetof(struct config_backoff, field_)
#define ARRAY(items_, count_)  IN_CONFIG(items_), .count_offset = offsetof(struct config, count_)
#define BETWEEN(min_, max_)    .min = (min_), .max = (max_)
#define SCALAR(type_)          CONFIG_SCALAR, .type = &config_type_##type_
#define SCALARS(type_, items_) CONFIG_SCALARS, .type = &config_type_##type_, .items = (items_)
#define SECTION(section_)      CONFIG_SECTION, .section = &(section_)
#define MAPS(section_)         CONFIG_MAPS, .section = &(section_)
#define NAMED_MAPS(section_)   CONFIG_NAMED_MAPS, .section = &(section_), .type = &config_type_name, .max = "128"

/* Indexed by enum weft_level, enum config_log_format and enum config_log_when_full. */
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const formats[] = {"auto", "text", "json", NULL};
static const char *const log_when_full[] = {"block", "drop", NULL};

static const struct config_key redis_keys[] = {
    {"url", SCALAR(redis_url), IN_CONFIG(redis.url), .fallback = "redis://127.0.0.1:6379/0",
     .doc = "redis://[USER@]HOST[:PORT][/DB], unix:///PATH[?db=N] or embedded"},
    {"password_file", SCALAR(password_file), IN_CONFIG(redis.password_file),
     .doc = "the file that holds the password, alone on one line"},
    {"prefix", SCALAR(name), IN_CONFIG(redis.prefix), .fallback = "weft", .max = "64",
     .doc = "what the names of all keys in Redis begin with"},
    {"dir", SCALAR(path), IN_CONFIG(redis.dir), .doc = "where an embedded Redis keeps its data and its socket"},
    {0},
};
static const struct config_section redis = {.keys = redis_keys, .finish = config_redis_finish};

static const struct config_key queue_keys[] = {
    {"name", SCALAR(name), IN_QUEUE(name), .max = "128", .required = true, .unique = true, .doc = "the queue's name"},
    {"weight", SCALAR(count), IN_QUEUE(weight), .fallback = "1", BETWEEN("1", "1000"),
     .doc = "a queue of weight 5 is read five times as much as one of weight 1"},
    {"concurrency", SCALAR(count), IN_QUEUE(concurrency), BETWEEN("1", "100000"),
     .doc = "jobs of the queue that each worker takes at the same time; by default there is no limit of its own"},
    {"reserve", SCALAR(count), IN_QUEUE(reserve), .fallback = "0", BETWEEN("0", "99999"),
     .doc = "places in each worker that jobs of other queues do not get"},
    {0},
};
static const struct config_section queue = {.keys = queue_keys, .item_size = sizeof(struct queue_spec)};

/* The values of `defaults` and of each job type differ only in where they fall back to. */
#define ATTEMPTS                                                                                                       \
    "attempts", SCALAR(count), BETWEEN("1", "1000"), .doc = "how often a job is tried before it is a dead letter"
#define TIMEOUT "timeout", SCALAR(duration), BETWEEN("1ms", "7d"), .doc = "how long one attempt may take"
#define BACKOFF_BASE                                                                                                   \
    "base", SCALAR(duration), IN_BACKOFF(base_ms), BETWEEN("1ms", "7d"),                                               \
        .doc = "the delay before the second attempt; it doubles with each further one"
#define BACKOFF_MAX "max", SCALAR(duration), IN_BACKOFF(max_ms), BETWEEN("1ms", "7d"), .doc = "the longest delay"
#define BACKOFF_JITTER                                                                                                 \
    "jitter", SCALAR(fraction), IN_BACKOFF(jitter), BETWEEN("0", "1"),                                                 \
        .doc = "how much of a delay is left to chance, from 0 to 1"
#define BACKOFF_DOC "how long a failed job waits for its next attempt"

static const struct config_key default_backoff_keys[] = {
    {BACKOFF_BASE, .fallback = "1s"},
    {BACKOFF_MAX, .fallback = "1h"},
    {BACKOFF_JITTER, .fallback = "0.2"},
    {0},
};
static const struct config_section default_backoff = {.keys = default_backoff_keys, .finish = config_backoff_finish};

static const struct config_key defaults_keys[] = {
    {ATTEMPTS, IN_CONFIG(defaults.attempts), .fallback = "5"},
    {TIMEOUT, IN_CONFIG(defaults.timeout_ms), .fallback = "5m"},
    {"backoff", SECTION(default_backoff), IN_CONFIG(defaults.backoff), .doc = BACKOFF_DOC},
    {0},
};
static const struct config_section defaults = {.keys = defaults_keys};

static const struct config_key job_backoff_keys[] = {{BACKOFF_BASE}, {BACKOFF_MAX}, {BACKOFF_JITTER}, {0}};
static const struct config_section job_backoff = {.keys = job_backoff_keys, .finish = config_backoff_finish};

static const struct config_key job_keys[] = {
    {"chain", SCALARS(name, "handler names"), IN_JOB(chain), BETWEEN("1", "128"), .required = true,
     .doc = "the handlers that run, one after the other"},
    {ATTEMPTS, IN_JOB(attempts)},
    {TIMEOUT, IN_JOB(timeout_ms)},
    {"backoff", SECTION(job_backoff), IN_JOB(backoff), .doc = BACKOFF_DOC},
    {"blocking", SCALAR(flag), IN_JOB(blocking), .fallback = "false",
     .doc = "true: the handlers run on a thread, and may block"},
    {"exec", CONFIG_UNSUPPORTED, .doc = "a program as the handler"},
    {"http", CONFIG_UNSUPPORTED, .doc = "a web service as the handler"},
    {"concurrency", SCALAR(count), IN_JOB(concurrency), BETWEEN("1", "100000"),
     .doc = "jobs of the type that run in each worker at the same time; by default there is no limit of its own"},
    {0},
};
static const struct config_section job = {
    .keys = job_keys, .item_size = sizeof(struct config_job), .begin = config_job_begin};

static const struct config_key keep_keys[] = {
    {"done", SCALAR(duration), IN_CONFIG(keep.done_ms), .fallback = "1h", BETWEEN("1s", "3650d"),
     .doc = "how long the reports of done jobs are kept"},
    {"done_max", SCALAR(number), IN_CONFIG(keep.done_max), .fallback = "100000", BETWEEN("1", "100000000"),
     .doc = "how many reports of done jobs are kept for each queue"},
    {"failed", SCALAR(duration), IN_CONFIG(keep.failed_ms), .fallback = "7d", BETWEEN("1s", "3650d"),
     .doc = "how long the reports of failed jobs are kept"},
    {"dead", SCALAR(number), IN_CONFIG(keep.dead), .fallback = "10000", BETWEEN("1", "100000000"),
     .doc = "how many dead letters are kept for each queue"},
    {0},
};
static const struct config_section keep = {.keys = keep_keys};

static const struct config_key limits_keys[] = {
    {"payload", SCALAR(size), IN_CONFIG(limits.payload), .fallback = "1MiB", BETWEEN("1B", "64MiB"),
     .doc = "the largest payload; a message with a larger one is a dead letter"},
    {0},
};
static const struct config_section limits = {.keys = limits_keys};

static const struct config_key offload_keys[] = {
    {"threads", SCALAR(count), IN_CONFIG(offload.threads), .fallback = "64", BETWEEN("1", "1024"),
     .doc = "how many calls can block in each worker at the same time; further ones wait"},
    {0},
};
static const struct config_section offload = {.keys = offload_keys};

static const struct config_key context_keys[] = {
    {"follow_threads_of", SCALARS(library, "names of libraries"), IN_CONFIG(context.follow_threads_of),
     .doc = "libraries whose threads belong to the job that had them started; those of others are nobody's"},
    {"follow_events_of", SCALARS(library, "names of libraries"), IN_CONFIG(context.follow_events_of),
     .doc =
         "libraries whose timers and other events belong to the job that had them armed; those of others are nobody's"},
    {"warn_at_root", SCALAR(flag), IN_CONFIG(context.warn_at_root), .fallback = "false",
     .doc = "true: callbacks of plugins that run for no job are named in the log, once for each place"},
    {0},
};
static const struct config_section context_section = {.keys = context_keys};

static const struct config_key log_keys[] = {
    {"level", SCALAR(choice), IN_CONFIG(log.level), .fallback = "info", .choices = levels,
     .doc = "what is below is not written: debug, info, warn or error"},
    {"format", SCALAR(choice), IN_CONFIG(log.format), .fallback = "auto", .choices = formats,
     .doc = "text for people, json for programs, or auto: text on a terminal, else json"},
    {"output", SCALARS(output, "outputs (auto, journal, stderr, stdout or a file's path)"), IN_CONFIG(log.outputs),
     .fallback = "auto", .min = "1", .one_or_all = true,
     .doc = "auto, journal, stderr, stdout or a file's path; or a list of them"},
    {"fields", SCALARS(wildcard, "names of metadata"), IN_CONFIG(log.fields), .max = "128",
     .doc = "the metadata that is shown on each line of a job; '*' shows all"},
    {"buffer", SCALAR(size), IN_CONFIG(log.buffer), .fallback = "8MiB", BETWEEN("1MiB", "1GiB"),
     .doc = "how much of the log waits for an output that does not take it, for each output of each process"},
    {"when_full", SCALAR(choice), IN_CONFIG(log.when_full), .fallback = "drop", .choices = log_when_full,
     .doc = "what happens to lines when that is full: drop counts them and says so, block lets jobs wait"},
    {0},
};
static const struct config_section log_section = {.keys = log_keys};

static const struct config_key http_keys[] = {
    {"listen", SCALAR(address), IN_CONFIG(http.listen),
     .doc =
         "where /healthz, /readyz and /metrics are answered: ADDRESS:PORT, or PORT of 127.0.0.1; by default nowhere"},
    {0},
};
static const struct config_section http = {.keys = http_keys};

static const struct config_key root_keys[] = {
    {"redis", SECTION(redis), .doc = "where the jobs are"},
    {"node", SCALAR(name), IN_CONFIG(node), .max = "64",
     .doc = "what this weftd is called in reports and logs; by default as its host"},
    {"workers", SCALAR(count), IN_CONFIG(workers), BETWEEN("1", "1024"),
     .doc = "worker processes; by default one for each core"},
    {"concurrency", SCALAR(count), IN_CONFIG(concurrency), .fallback = "1000", BETWEEN("1", "100000"),
     .doc = "jobs that are in flight in each worker at the same time"},
    {"held", SCALAR(size), IN_CONFIG(held), .fallback = "256MiB", BETWEEN("1MiB", "1024GiB"),
     .doc = "messages that each worker holds at the same time, in bytes"},
    {"max_rss", SCALAR(size), IN_CONFIG(max_rss), BETWEEN("16MiB", "1024GiB"),
     .doc = "how large a worker may grow before it is replaced; by default there is no limit"},
    {"lease", SCALAR(duration), IN_CONFIG(lease_ms), .fallback = "30s", BETWEEN("2s", "1d"),
     .doc = "how long a job waits for a lost host before another one runs it"},
    {"shutdown_timeout", SCALAR(duration), IN_CONFIG(shutdown_timeout_ms), .fallback = "25s", BETWEEN("0s", "1h"),
     .doc = "how long a shutdown waits for jobs in flight before it sends them back"},
    {"queues", MAPS(queue), ARRAY(queues, queue_count), .min = "1", .doc = "the queues that are read"},
    {"plugins", SCALARS(path, "paths of plugins"), IN_CONFIG(plugins),
     .doc = "the shared objects that hold the handlers"},
    {"defaults", SECTION(defaults), .doc = "what holds for all job types that do not say otherwise"},
    /* After `defaults`, which is where a job type begins. */
    {"jobs", NAMED_MAPS(job), ARRAY(jobs, job_count), .doc = "the job types and the handlers that run for them"},
    {"keep", SECTION(keep), .doc = "what stays in Redis of jobs that have ended"},
    {"limits", SECTION(limits), .doc = "what is too large"},
    {"offload", SECTION(offload), .doc = "the threads for what blocks"},
    {"context", SECTION(context_section), .doc = "what belongs to a job"},
    {"log", SECTION(log_section), .doc = "what weftd writes about its work, and where"},
    {"http", SECTION(http), .doc = "a web server for health checks and metrics"},
    {0},
};

const struct config_section config_table = {.keys = root_keys, .finish = config_root_finish};
