/* How a configuration may be written: YAML's forms, and paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_support.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

/* The absolute path of a file in the folder of the test. */
static const char *in_folder(const char *name)
{
    static char path[4096];

    snprintf(path, sizeof(path), "%s/%s", config_support_folder, name);
    return path;
}

static void plugins_are_absolute_and_know_where_they_stand(void **state)
{
    struct config *config = config_support_load("plugins:\n"
                                                "  - /usr/lib/weft/a.so\n"
                                                "  - b.so\n"
                                                "  - ~/c.so\n");

    (void)state;
    assert_int_equal(config->plugins.count, 3);
    config_support_assert_string(&config->plugins.items[0], "/usr/lib/weft/a.so", 2, 5);
    config_support_assert_string(&config->plugins.items[1], in_folder("b.so"), 3, 5);
    config_support_assert_string(&config->plugins.items[2], in_folder("~/c.so"), 4, 5);
    config_free(config);
}

static void paths_begin_in_the_folder_of_the_file_not_where_weftd_was_started(void **state)
{
    struct config *config = NULL;
    char *message = NULL;

    (void)state;
    config_support_write(CONFIG_FILE, "plugins: [b.so]\nlog: {output: weft.log}\nredis: {dir: data}\n");
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(config_load(in_folder(CONFIG_FILE), &config, &message), 0);
    assert_int_equal(chdir(config_support_folder), 0);
    assert_string_equal(config->path, in_folder(CONFIG_FILE));
    assert_string_equal(config->plugins.items[0].text, in_folder("b.so"));
    assert_string_equal(config->log.outputs.items[0].text, in_folder("weft.log"));
    assert_string_equal(config->redis.dir, in_folder("data"));
    config_free(config);
}

static void the_log_goes_to_one_output_or_to_several(void **state)
{
    struct config *one = config_support_load("log: {output: stderr}");
    struct config *several = config_support_load("log: {output: [auto, stdout, /var/log/weft, here.log]}");

    (void)state;
    assert_int_equal(one->log.outputs.count, 1);
    config_support_assert_string(&one->log.outputs.items[0], "stderr", 1, 15);
    assert_int_equal(several->log.outputs.count, 4);
    assert_string_equal(several->log.outputs.items[0].text, "auto");
    assert_string_equal(several->log.outputs.items[1].text, "stdout");
    assert_string_equal(several->log.outputs.items[2].text, "/var/log/weft");
    assert_string_equal(several->log.outputs.items[3].text, in_folder("here.log"));
    config_free(one);
    config_free(several);
}

static void anchors_and_aliases_stand_for_values_lists_and_maps(void **state)
{
    struct config *config = config_support_load("defaults: {timeout: &t 90s, backoff: &b {base: 3s}}\n"
                                                "jobs:\n"
                                                "  a: &job {chain: &c [x, y], timeout: *t, backoff: *b}\n"
                                                "  b: {chain: *c}\n"
                                                "  c: *job\n");

    (void)state;
    assert_int_equal(config->job_count, 3);
    assert_int_equal(config_find_job(config, "a")->timeout_ms, 90 * SECOND);
    assert_int_equal(config_find_job(config, "b")->chain.count, 2);
    assert_string_equal(config_find_job(config, "c")->chain.items[1].text, "y");
    assert_int_equal(config_find_job(config, "c")->backoff.base_ms, 3 * SECOND);
    config_free(config);
}

static void values_and_keys_may_be_quoted_tagged_and_folded(void **state)
{
    struct config *config = config_support_load("\"workers\": \"2\"\n"
                                                "'lease': '10s'\n"
                                                "concurrency: !!int 5\n"
                                                "node: >-\n"
                                                "  folded\n"
                                                "keep: !!map {done: !!str 1m}\n");

    (void)state;
    assert_int_equal(config->workers, 2);
    assert_int_equal(config->lease_ms, 10 * SECOND);
    assert_int_equal(config->concurrency, 5);
    assert_string_equal(config->node, "folded");
    assert_int_equal(config->keep.done_ms, MINUTE);
    config_free(config);
}

static void sections_whose_keys_are_all_commented_out_are_defaults(void **state)
{
    struct config *config = config_support_load("redis:\n  # url: x\n"
                                                "plugins:\n"
                                                "defaults:\n  backoff:\n"
                                                "jobs:\n"
                                                "keep:\n"
                                                "limits: ~\n"
                                                "log:\n  fields:\n");

    (void)state;
    assert_string_equal(config->redis.host, "127.0.0.1");
    assert_int_equal(config->plugins.count, 0);
    assert_int_equal(config->defaults.backoff.base_ms, SECOND);
    assert_int_equal(config->job_count, 0);
    assert_int_equal(config->keep.done_ms, HOUR);
    assert_int_equal(config->limits.payload, 1024 * 1024);
    assert_int_equal(config->log.fields.count, 0);
    config_free(config);
}

static void a_byte_order_mark_crlf_and_document_marks_do_no_harm(void **state)
{
    struct config *config = config_support_load("\xef\xbb\xbf"
                                                "%YAML 1.1\r\n---\r\nworkers: 2\r\nlease: 10s\r\n...\r\n");

    (void)state;
    assert_int_equal(config->workers, 2);
    assert_int_equal(config->lease_ms, 10 * SECOND);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugins_are_absolute_and_know_where_they_stand),
        cmocka_unit_test(paths_begin_in_the_folder_of_the_file_not_where_weftd_was_started),
        cmocka_unit_test(the_log_goes_to_one_output_or_to_several),
        cmocka_unit_test(anchors_and_aliases_stand_for_values_lists_and_maps),
        cmocka_unit_test(values_and_keys_may_be_quoted_tagged_and_folded),
        cmocka_unit_test(sections_whose_keys_are_all_commented_out_are_defaults),
        cmocka_unit_test(a_byte_order_mark_crlf_and_document_marks_do_no_harm),
    };

    return cmocka_run_group_tests_name("config_forms", tests, config_support_set_up, config_support_tear_down);
}
