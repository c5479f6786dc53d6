/* Where Redis is: the URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_support.h"

#define FORMS "redis://[USER@]HOST[:PORT][/DB], unix:///PATH[?db=N] or embedded"

#define HUNDRED_BYTES                                                                                                  \
    "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"

static struct config *load_url(const char *url)
{
    char text[512];

    snprintf(text, sizeof(text), "redis: {url: '%s'}", url);
    return config_support_load(text);
}

static void a_url_names_host_port_database_and_user(void **state)
{
    static const struct {
        const char *url, *host;
        int port, database;
        const char *username;
    } examples[] = {
        {"redis://127.0.0.1:6379/0", "127.0.0.1", 6379, 0, NULL},
        {"redis://redis", "redis", 6379, 0, NULL},
        {"redis://redis/", "redis", 6379, 0, NULL},
        {"REDIS://Redis_1.example-host:65535/15", "Redis_1.example-host", 65535, 15, NULL},
        {"redis://worker@redis:1", "redis", 1, 0, "worker"},
        {"redis://a@b@redis/2", "redis", 6379, 2, "a@b"},
        {"redis://[::1]", "::1", 6379, 0, NULL},
        {"redis://u@[2001:db8::7]:6380/65535", "2001:db8::7", 6380, 65535, "u"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct config *config = load_url(examples[i].url);

        assert_int_equal(config->redis.kind, CONFIG_REDIS_TCP);
        assert_string_equal(config->redis.url, examples[i].url);
        assert_int_equal(config->redis.url_mark.line, 1);
        assert_int_equal(config->redis.url_mark.column, 14);
        assert_string_equal(config->redis.host, examples[i].host);
        assert_int_equal(config->redis.port, examples[i].port);
        assert_int_equal(config->redis.database, examples[i].database);
        assert_null(config->redis.socket_path);
        if (examples[i].username)
            assert_string_equal(config->redis.username, examples[i].username);
        else
            assert_null(config->redis.username);
        config_free(config);
    }
}

static void a_url_names_a_socket_and_a_database(void **state)
{
    struct config *plain = load_url("unix:///run/redis/redis.sock");
    struct config *numbered = load_url("unix:///run/redis/redis.sock?db=7");

    (void)state;
    assert_int_equal(plain->redis.kind, CONFIG_REDIS_UNIX);
    assert_string_equal(plain->redis.socket_path, "/run/redis/redis.sock");
    assert_string_equal(plain->queue_options.socket_path, "/run/redis/redis.sock");
    assert_null(plain->redis.host);
    assert_null(plain->queue_options.host);
    assert_int_equal(plain->redis.database, 0);
    assert_string_equal(numbered->redis.socket_path, "/run/redis/redis.sock");
    assert_int_equal(numbered->redis.database, 7);
    config_free(plain);
    config_free(numbered);
}

static void without_a_url_redis_is_on_this_machine(void **state)
{
    struct config *config = config_support_load("{}");

    (void)state;
    assert_int_equal(config->redis.kind, CONFIG_REDIS_TCP);
    assert_string_equal(config->redis.url, "redis://127.0.0.1:6379/0");
    assert_int_equal(config->redis.url_mark.line, 0);
    assert_string_equal(config->redis.host, "127.0.0.1");
    assert_int_equal(config->redis.port, 6379);
    assert_string_equal(config->redis.prefix, "weft");
    assert_null(config->redis.password_file);
    config_free(config);
}

static void assert_url_refused(const char *url, const char *sentence)
{
    char text[512], expected[512];

    snprintf(text, sizeof(text), "redis: {url: '%s'}", url);
    snprintf(expected, sizeof(expected), "weftd.yaml:1:14: %s", sentence);
    config_support_assert_mistake(text, expected);
}

static void a_url_of_another_form_is_refused(void **state)
{
    static const char *const urls[] = {
        "",
        "redis",
        "Embedded",
        "127.0.0.1:6379",
        "http://redis",
        "redis:redis",
        "redis:/redis",
        "redis://",
        "redis:///0",
        "redis://:6379",
        "redis://::1",
        "redis://@redis",
        "redis://ho st",
        "redis://h\xc3\xb6st",
        "redis://redis?db=2",
        "redis://redis#2",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[redis]",
        "redis://[]",
        "redis://[1:2:3:4:5:6:7:8:9]",
        "redis://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]",
        "unix:///run/redis.sock?",
        "unix:///run/redis.sock?database=1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_url_refused(urls[i], "\"redis.url\" must be " FORMS);
}

static void a_bad_port_is_named(void **state)
{
    static const char *const urls[] = {
        "redis://redis:",   "redis://redis:0",       "redis://redis:65536", "redis://redis:redis",
        "redis://redis:-1", "redis://redis:6379:80", "redis://redis:06379", "redis://[::1]:x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_url_refused(urls[i], "the port in \"redis.url\" must be a whole number between 1 and 65535");
}

static void a_bad_database_is_named(void **state)
{
    static const char *const urls[] = {
        "redis://redis/x",
        "redis://redis/-1",
        "redis://redis/65536",
        "redis://redis/0/",
        "redis://redis/1?db=2",
        "unix:///run/redis.sock?db=",
        "unix:///run/redis.sock?db=x",
        "unix:///run/redis.sock?db=1&db=2",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_url_refused(urls[i], "the database in \"redis.url\" must be a whole number between 0 and 65535");
}

static void a_password_in_a_url_is_refused_and_not_repeated(void **state)
{
    static const char *const urls[] = {
        "redis://:secret@redis",      "redis://user:secret@redis:6379/0",
        "redis://user:se@cret@redis", "redis://user:@redis",
        "rediss://user:secret@redis", "redis+sentinel://:secret@one:26379,two:26379/main",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_url_refused(urls[i], "a password does not belong in \"redis.url\"; put it in a file and name that under "
                                    "\"redis.password_file\"");
}

static void what_this_version_does_not_speak_is_refused(void **state)
{
    (void)state;
    assert_url_refused("rediss://redis",
                       "Redis over TLS (rediss://) is not supported by this version of weft; use " FORMS);
    assert_url_refused("redis+sentinel://one:26379/main",
                       "Redis Sentinel (redis+sentinel://) is not supported by this version of weft; use " FORMS);
    assert_url_refused("redis+cluster://one:7000",
                       "Redis Cluster (redis+cluster://) is not supported by this version of weft; use " FORMS);
}

static void a_relative_socket_path_is_refused(void **state)
{
    static const char *const urls[] = {"unix://", "unix:///", "unix://run/redis.sock", "unix://?db=1"};

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_url_refused(urls[i], "the socket's path in \"redis.url\" must be absolute, as in "
                                    "unix:///run/redis/redis.sock");
}

static void a_socket_path_has_at_most_107_bytes(void **state)
{
    struct config *config = load_url("unix:///" HUNDRED_BYTES "abcdef?db=1");

    (void)state;
    assert_int_equal(strlen(config->redis.socket_path), 107);
    config_free(config);
    assert_url_refused("unix:///" HUNDRED_BYTES "abcdefg",
                       "the socket's path in \"redis.url\" must be at most 107 bytes long, not 108");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_names_host_port_database_and_user),
        cmocka_unit_test(a_url_names_a_socket_and_a_database),
        cmocka_unit_test(without_a_url_redis_is_on_this_machine),
        cmocka_unit_test(a_url_of_another_form_is_refused),
        cmocka_unit_test(a_bad_port_is_named),
        cmocka_unit_test(a_bad_database_is_named),
        cmocka_unit_test(a_password_in_a_url_is_refused_and_not_repeated),
        cmocka_unit_test(what_this_version_does_not_speak_is_refused),
        cmocka_unit_test(a_relative_socket_path_is_refused),
        cmocka_unit_test(a_socket_path_has_at_most_107_bytes),
    };

    return cmocka_run_group_tests_name("config_redis_url", tests, config_support_set_up, config_support_tear_down);
}
