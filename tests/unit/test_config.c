/* What a configuration says, and what it is where it says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/sysinfo.h>

#include <weft/log.h>

#include "config_support.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static void what_is_not_said_has_its_default(void **state)
{
    struct config *config = config_support_load("{}");

    (void)state;
    assert_string_equal(config->path, CONFIG_FILE);
    assert_int_equal(config->concurrency, 1000);
    assert_int_equal(config->lease_ms, 30 * SECOND);
    assert_int_equal(config->shutdown_timeout_ms, 25 * SECOND);
    assert_int_equal(config->queue_count, 1);
    assert_string_equal(config->queues[0].name, "default");
    assert_int_equal(config->queues[0].weight, 1);
    assert_int_equal(config->plugins.count, 0);
    assert_int_equal(config->defaults.attempts, 5);
    assert_int_equal(config->defaults.timeout_ms, 5 * MINUTE);
    assert_int_equal(config->defaults.backoff.base_ms, SECOND);
    assert_int_equal(config->defaults.backoff.max_ms, HOUR);
    assert_true(config->defaults.backoff.jitter == 0.2);
    assert_int_equal(config->job_count, 0);
    assert_int_equal(config->keep.done_ms, HOUR);
    assert_int_equal(config->keep.done_max, 100000);
    assert_int_equal(config->keep.failed_ms, 7 * DAY);
    assert_int_equal(config->keep.dead, 10000);
    assert_int_equal(config->limits.payload, 1024 * 1024);
    assert_int_equal(config->log.level, WEFT_INFO);
    assert_int_equal(config->log.format, CONFIG_LOG_AUTO);
    assert_int_equal(config->log.outputs.count, 1);
    config_support_assert_string(&config->log.outputs.items[0], "auto", 0, 0);
    assert_int_equal(config->context.follow_threads_of.count, 0);
    assert_int_equal(config->context.follow_events_of.count, 0);
    assert_false(config->context.warn_at_root);
    assert_int_equal(config->log.fields.count, 0);
    assert_int_equal(config->log.buffer, 8 * 1024 * 1024);
    assert_int_equal(config->log.when_full, CONFIG_LOG_DROP);
    config_free(config);
}

static void there_is_a_worker_for_each_core_by_default(void **state)
{
    struct config *config = config_support_load("{}");

    (void)state;
    assert_int_equal(config->workers, get_nprocs() > 1024 ? 1024 : get_nprocs());
    config_free(config);
}

static void the_node_is_called_as_its_host_by_default(void **state)
{
    struct config *config = config_support_load("{}");
    char host[65] = "";

    (void)state;
    (void)gethostname(host, sizeof(host) - 1);
    assert_int_equal(strlen(config->node), strlen(host) > 0 ? strlen(host) : strlen("localhost"));
    for (size_t i = 0; host[i]; i++)
        assert_true(config->node[i] == host[i] || config->node[i] == '-');
    config_free(config);
}

static void every_value_is_taken_over(void **state)
{
    struct config *config = config_support_load("node: web1\n"
                                                "workers: 3\n"
                                                "concurrency: 100000\n"
                                                "lease: 2500ms\n"
                                                "shutdown_timeout: 0\n"
                                                "keep: {done: 2h, done_max: 7, failed: 1d, dead: 8}\n"
                                                "limits: {payload: 64MiB}\n"
                                                "defaults: {attempts: 1, timeout: 7d,\n"
                                                "           backoff: {base: 10ms, max: 20ms, jitter: 1}}\n"
                                                "log: {level: debug, format: json, buffer: 2MiB, when_full: block}\n"
                                                "redis: {prefix: other}\n");

    (void)state;
    assert_string_equal(config->node, "web1");
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->concurrency, 100000);
    assert_int_equal(config->lease_ms, 2500);
    assert_int_equal(config->shutdown_timeout_ms, 0);
    assert_int_equal(config->keep.done_ms, 2 * HOUR);
    assert_int_equal(config->keep.done_max, 7);
    assert_int_equal(config->keep.failed_ms, DAY);
    assert_int_equal(config->keep.dead, 8);
    assert_int_equal(config->limits.payload, 64 * 1024 * 1024);
    assert_int_equal(config->defaults.attempts, 1);
    assert_int_equal(config->defaults.timeout_ms, 7 * DAY);
    assert_int_equal(config->defaults.backoff.base_ms, 10);
    assert_int_equal(config->defaults.backoff.max_ms, 20);
    assert_true(config->defaults.backoff.jitter == 1);
    assert_int_equal(config->log.level, WEFT_DEBUG);
    assert_int_equal(config->log.format, CONFIG_LOG_JSON);
    assert_int_equal(config->log.buffer, 2 * 1024 * 1024);
    assert_int_equal(config->log.when_full, CONFIG_LOG_BLOCK);
    assert_string_equal(config->redis.prefix, "other");
    config_free(config);
}

static void words_of_the_log_stand_for_its_levels_and_formats(void **state)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    static const char *const formats[] = {"auto", "text", "json"};
    char text[64];

    (void)state;
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "log: {level: %s, format: %s}", levels[i], formats[i % 3]);
        struct config *config = config_support_load(text);

        assert_int_equal(config->log.level, i);
        assert_int_equal(config->log.format, i % 3);
        config_free(config);
    }
    assert_int_equal(WEFT_ERROR, 3);
    assert_int_equal(CONFIG_LOG_JSON, 2);
}

static void queues_keep_their_order_and_weights(void **state)
{
    struct config *config = config_support_load("queues:\n"
                                                "  - {name: critical, weight: 5}\n"
                                                "  - name: A.b_c-9\n");

    (void)state;
    assert_int_equal(config->queue_count, 2);
    assert_string_equal(config->queues[0].name, "critical");
    assert_int_equal(config->queues[0].weight, 5);
    assert_string_equal(config->queues[1].name, "A.b_c-9");
    assert_int_equal(config->queues[1].weight, 1);
    config_free(config);
}

static void a_job_type_has_its_chain_and_where_it_stands(void **state)
{
    struct config *config = config_support_load("jobs:\n"
                                                "  user.profile:\n"
                                                "    chain: [authenticate, load]\n"
                                                "  other: {chain: [x], timeout: 30s}\n");
    const struct config_job *job = config_find_job(config, "user.profile");

    (void)state;
    assert_non_null(job);
    assert_string_equal(job->type, "user.profile");
    assert_int_equal(job->mark.line, 2);
    assert_int_equal(job->mark.column, 3);
    assert_int_equal(job->chain.count, 2);
    config_support_assert_string(&job->chain.items[0], "authenticate", 3, 13);
    config_support_assert_string(&job->chain.items[1], "load", 3, 27);
    assert_int_equal(config_find_job(config, "other")->timeout_ms, 30 * SECOND);
    assert_null(config_find_job(config, "user"));
    assert_null(config_find_job(config, ""));
    config_free(config);
}

static void a_job_type_falls_back_to_the_defaults_wherever_they_stand(void **state)
{
    struct config *config =
        config_support_load("jobs:\n"
                            "  plain: {chain: [x]}\n"
                            "  own: {chain: [x], attempts: 9, timeout: 1s, backoff: {base: 2ms, max: 3ms, jitter: 0}}\n"
                            "  partly: {chain: [x], backoff: {max: 9m}}\n"
                            "defaults: {attempts: 2, timeout: 2m, backoff: {base: 2s, max: 4s, jitter: 0.75}}\n");
    const struct config_job *plain = config_find_job(config, "plain");
    const struct config_job *own = config_find_job(config, "own");
    const struct config_job *partly = config_find_job(config, "partly");

    (void)state;
    assert_int_equal(plain->attempts, 2);
    assert_int_equal(plain->timeout_ms, 2 * MINUTE);
    assert_int_equal(plain->backoff.base_ms, 2 * SECOND);
    assert_int_equal(plain->backoff.max_ms, 4 * SECOND);
    assert_true(plain->backoff.jitter == 0.75);
    assert_int_equal(own->attempts, 9);
    assert_int_equal(own->timeout_ms, SECOND);
    assert_int_equal(own->backoff.base_ms, 2);
    assert_int_equal(own->backoff.max_ms, 3);
    assert_true(own->backoff.jitter == 0);
    assert_int_equal(partly->attempts, 2);
    assert_int_equal(partly->backoff.base_ms, 2 * SECOND);
    assert_int_equal(partly->backoff.max_ms, 9 * MINUTE);
    assert_true(partly->backoff.jitter == 0.75);
    config_free(config);
}

static void libraries_are_names_of_files_or_paths(void **state)
{
    struct config *config = config_support_load("context: {follow_threads_of: [libgomp, 'libstdc++.so.6'], "
                                                "follow_events_of: [/opt/lib/libone.so], warn_at_root: true}");

    (void)state;
    assert_int_equal(config->context.follow_threads_of.count, 2);
    assert_string_equal(config->context.follow_threads_of.items[0].text, "libgomp");
    assert_string_equal(config->context.follow_threads_of.items[1].text, "libstdc++.so.6");
    assert_int_equal(config->context.follow_events_of.count, 1);
    assert_string_equal(config->context.follow_events_of.items[0].text, "/opt/lib/libone.so");
    assert_true(config->context.warn_at_root);
    config_free(config);
}

static void fields_of_the_log_are_names_or_a_star(void **state)
{
    struct config *config = config_support_load("log: {fields: [request_id, '*']}");

    (void)state;
    assert_int_equal(config->log.fields.count, 2);
    assert_string_equal(config->log.fields.items[0].text, "request_id");
    assert_string_equal(config->log.fields.items[1].text, "*");
    config_free(config);
}

static void the_longest_names_are_accepted(void **state)
{
    char text[1024], name[129];

    (void)state;
    memset(name, 'x', 128);
    name[128] = '\0';
    snprintf(text, sizeof(text),
             "queues: [{name: %s}]\njobs: {%s: {chain: [%s], backoff: {jitter: 0}}}\nnode: %.64s\n"
             "redis: {prefix: %.64s}\nlog: {fields: [%s]}",
             name, name, name, name, name, name);
    struct config *config = config_support_load(text);

    assert_string_equal(config->queues[0].name, name);
    assert_string_equal(config->jobs[0].chain.items[0].text, name);
    assert_non_null(config_find_job(config, name));
    assert_int_equal(strlen(config->node), 64);
    assert_int_equal(strlen(config->redis.prefix), 64);
    config_free(config);
}

static void the_queues_are_told_all_they_have_to_know(void **state)
{
    struct config *config = config_support_load("redis: {url: 'redis://worker@redis.example:7000/3', prefix: other}\n"
                                                "node: web1\n"
                                                "lease: 20s\n"
                                                "keep: {done: 2h, done_max: 7, failed: 1d, dead: 8}\n"
                                                "limits: {payload: 2KiB}\n"
                                                "queues: [{name: a}, {name: b, weight: 2}]\n");
    const struct queue_options *options = &config->queue_options;

    (void)state;
    assert_null(options->socket_path);
    assert_string_equal(options->host, "redis.example");
    assert_int_equal(options->port, 7000);
    assert_int_equal(options->database, 3);
    assert_string_equal(options->username, "worker");
    assert_null(options->password);
    assert_string_equal(options->prefix, "other");
    assert_string_equal(options->node, "web1");
    assert_ptr_equal(options->queues, config->queues);
    assert_int_equal(options->queue_count, 2);
    assert_int_equal(options->lease_ms, 20 * SECOND);
    assert_int_equal(options->keep_done_ms, 2 * HOUR);
    assert_int_equal(options->keep_done_max, 7);
    assert_int_equal(options->keep_failed_ms, DAY);
    assert_int_equal(options->keep_dead, 8);
    assert_int_equal(options->payload_max, 2048);
    config_free(config);
}

static void freeing_nothing_does_nothing(void **state)
{
    (void)state;
    assert_null(config_free(NULL));
    assert_null(config_free(config_support_load("{}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(there_is_a_worker_for_each_core_by_default),
        cmocka_unit_test(the_node_is_called_as_its_host_by_default),
        cmocka_unit_test(every_value_is_taken_over),
        cmocka_unit_test(words_of_the_log_stand_for_its_levels_and_formats),
        cmocka_unit_test(queues_keep_their_order_and_weights),
        cmocka_unit_test(a_job_type_has_its_chain_and_where_it_stands),
        cmocka_unit_test(a_job_type_falls_back_to_the_defaults_wherever_they_stand),
        cmocka_unit_test(libraries_are_names_of_files_or_paths),
        cmocka_unit_test(fields_of_the_log_are_names_or_a_star),
        cmocka_unit_test(the_longest_names_are_accepted),
        cmocka_unit_test(the_queues_are_told_all_they_have_to_know),
        cmocka_unit_test(freeing_nothing_does_nothing),
    };

    return cmocka_run_group_tests_name("config", tests, config_support_set_up, config_support_tear_down);
}
