/* The configuration that is installed: it works, it is complete, and what it says about defaults is true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_support.h"
#include "daemon/config/file.h"
#include "daemon/config/table.h"

/* The text of the file; CONFIG_SHIPPED is its path. */
static char *read_shipped(void)
{
    char *text;
    size_t size;

    assert_int_equal(config_file_read(CONFIG_SHIPPED, 1024 * 1024, &text, &size), 0);
    return text;
}

/* Removes the `#` before keys. It stands before prose where exactly one blank follows. */
static void uncomment(char *text)
{
    for (char *line = text; *line;) {
        char *end = strchrnul(line, '\n');
        char *mark = line + strspn(line, " ");
        bool prose = mark[1] == '\n' || (mark[1] == ' ' && mark[2] != ' ');

        if (*mark == '#' && !prose) {
            memmove(mark, mark + 1, strlen(mark));
            end--;
        }
        line = *end ? end + 1 : end;
    }
}

static void assert_same_backoff(const struct config_backoff *one, const struct config_backoff *other)
{
    assert_int_equal(one->base_ms, other->base_ms);
    assert_int_equal(one->max_ms, other->max_ms);
    assert_true(one->jitter == other->jitter);
}

static void assert_same_values(const struct config *one, const struct config *other)
{
    assert_string_equal(one->redis.url, other->redis.url);
    assert_string_equal(one->redis.prefix, other->redis.prefix);
    assert_int_equal(one->concurrency, other->concurrency);
    assert_int_equal(one->held, other->held);
    assert_int_equal(one->lease_ms, other->lease_ms);
    assert_int_equal(one->shutdown_timeout_ms, other->shutdown_timeout_ms);
    assert_string_equal(one->queues[0].name, other->queues[0].name);
    assert_int_equal(one->queues[0].weight, other->queues[0].weight);
    assert_int_equal(one->defaults.attempts, other->defaults.attempts);
    assert_int_equal(one->defaults.timeout_ms, other->defaults.timeout_ms);
    assert_same_backoff(&one->defaults.backoff, &other->defaults.backoff);
    assert_int_equal(one->keep.done_ms, other->keep.done_ms);
    assert_int_equal(one->keep.done_max, other->keep.done_max);
    assert_int_equal(one->keep.failed_ms, other->keep.failed_ms);
    assert_int_equal(one->keep.dead, other->keep.dead);
    assert_int_equal(one->limits.payload, other->limits.payload);
    assert_int_equal(one->offload.threads, other->offload.threads);
    assert_int_equal(one->context.warn_at_root, other->context.warn_at_root);
    assert_int_equal(one->log.level, other->log.level);
    assert_int_equal(one->log.format, other->log.format);
    assert_int_equal(one->log.buffer, other->log.buffer);
    assert_int_equal(one->log.when_full, other->log.when_full);
    assert_int_equal(one->log.outputs.count, other->log.outputs.count);
    assert_string_equal(one->log.outputs.items[0].text, other->log.outputs.items[0].text);
}

static void it_loads_and_sets_nothing_but_defaults_and_an_example(void **state)
{
    struct config *shipped = NULL;
    struct config *defaults = config_support_load("{}");
    char *message = NULL;

    (void)state;
    if (config_load(CONFIG_SHIPPED, &shipped, &message) < 0)
        fail_msg("%s", message);
    assert_same_values(shipped, defaults);
    assert_int_equal(shipped->queue_count, 1);
    assert_int_equal(shipped->plugins.count, 1);
    assert_int_equal(shipped->job_count, 1);
    assert_non_null(config_find_job(shipped, "hello"));
    assert_int_equal(shipped->context.follow_threads_of.count, 0);
    assert_int_equal(shipped->context.follow_events_of.count, 0);
    assert_int_equal(shipped->context.warn_at_root, defaults->context.warn_at_root);
    assert_int_equal(shipped->log.fields.count, 0);
    assert_string_equal(shipped->node, defaults->node);
    assert_int_equal(shipped->workers, defaults->workers);
    config_free(shipped);
    config_free(defaults);
}

static void what_is_commented_out_loads_too_and_shows_the_defaults(void **state)
{
    struct config *defaults = config_support_load("{}");
    char *text = read_shipped();
    struct config *config;

    (void)state;
    uncomment(text);
    config = config_support_load(text);
    free(text);
    assert_same_values(config, defaults);
    assert_string_equal(config->redis.dir, "/var/lib/weft/redis");
    assert_string_equal(config->node, "web1");
    assert_int_equal(config->queue_count, 2);
    assert_int_equal(config->plugins.count, 1);
    assert_non_null(config_find_job(config, "user.profile"));
    assert_int_equal(config_find_job(config, "user.profile")->chain.count, 3);
    assert_string_equal(config->log.fields.items[0].text, "request_id");
    config_free(config);
    config_free(defaults);
}

static void assert_explained(const char *text, const struct config_section *section)
{
    char name[64];

    for (const struct config_key *key = section->keys; key->name; key++) {
        if (key->shape == CONFIG_UNSUPPORTED)
            continue;
        snprintf(name, sizeof(name), "%s:", key->name);
        if (!strstr(text, name) || !strstr(text, key->doc))
            fail_msg("the shipped file does not say of \"%s\": %s", key->name, key->doc);
        if (key->section)
            assert_explained(text, key->section);
    }
}

static void every_key_is_in_it_and_explained(void **state)
{
    char *text = read_shipped();

    (void)state;
    assert_explained(text, &config_table);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_loads_and_sets_nothing_but_defaults_and_an_example),
        cmocka_unit_test(what_is_commented_out_loads_too_and_shows_the_defaults),
        cmocka_unit_test(every_key_is_in_it_and_explained),
    };

    return cmocka_run_group_tests_name("config_shipped", tests, config_support_set_up, config_support_tear_down);
}
