/* The password of Redis, and the folder of an embedded one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_support.h"

#define NINETY_BYTES "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"

#define NOBODY 65534

static int reset_environment(void **state)
{
    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    return 0;
}

/* ---- The password ---- */

static void the_password_is_what_the_file_holds_without_its_line_feed(void **state)
{
    (void)state;
    config_support_write("password", " s3cret: \xc3\xa4 \n");
    struct config *config = config_support_load("redis: {password_file: password}");

    assert_string_equal(config->redis.password, " s3cret: \xc3\xa4 ");
    assert_string_equal(config->queue_options.password, " s3cret: \xc3\xa4 ");
    assert_int_equal(strncmp(config->redis.password_file, config_support_folder, strlen(config_support_folder)), 0);
    assert_string_equal(config->redis.password_file + strlen(config_support_folder), "/password");
    config_free(config);

    config_support_write("password", "bare");
    config = config_support_load("redis: {password_file: password}");
    assert_string_equal(config->redis.password, "bare");
    config_free(config);
}

/* Makes `credentials/NAME`, and lets the environment say so as systemd does. */
static void provide_credential(const char *text)
{
    char folder[256];

    snprintf(folder, sizeof(folder), "%s/credentials", config_support_folder);
    (void)mkdir("credentials", 0700);
    config_support_write("credentials/password", text);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
}

static int remove_credential(void **state)
{
    (void)state;
    unlink("credentials/password");
    return rmdir("credentials");
}

static void a_credential_of_systemd_goes_before_a_file_beside_the_configuration(void **state)
{
    (void)state;
    config_support_write("password", "from the folder\n");
    config_support_write("other", "other\n");
    provide_credential("from systemd\n");
    struct config *config = config_support_load("redis: {password_file: password}");

    assert_string_equal(config->redis.password, "from systemd");
    assert_non_null(strstr(config->redis.password_file, "/credentials/password"));
    config_free(config);

    config = config_support_load("redis: {password_file: other}");
    assert_string_equal(config->redis.password, "other");
    config_free(config);
}

static void a_bad_password_file_is_named(void **state)
{
    char expected[512], longer[4098];

    (void)state;
    snprintf(expected, sizeof(expected),
             "weftd.yaml:2:18: \"redis.password_file\" must be a file that can be read, but \"%s/~\" cannot: No such "
             "file or directory",
             config_support_folder);
    config_support_assert_mistake("redis:\n  password_file: '~'", expected);

    config_support_assert_mistake("redis:\n  password_file: /etc",
                                  "weftd.yaml:2:18: \"redis.password_file\" must be a file that can be read, but "
                                  "\"/etc\" cannot: Is a directory");

    config_support_write("empty", "\n");
    snprintf(expected, sizeof(expected),
             "weftd.yaml:2:18: \"redis.password_file\" must hold a password, alone on one line, but \"%s/empty\" is "
             "empty",
             config_support_folder);
    config_support_assert_mistake("redis:\n  password_file: empty", expected);

    config_support_write("lines", "secret\nsecond\n");
    snprintf(expected, sizeof(expected),
             "weftd.yaml:2:18: \"redis.password_file\" must hold a password, alone on one line, but \"%s/lines\" holds "
             "something else",
             config_support_folder);
    config_support_assert_mistake("redis:\n  password_file: lines", expected);

    config_support_write("windows", "secret\r\n");
    snprintf(
        expected, sizeof(expected),
        "weftd.yaml:2:18: \"redis.password_file\" must hold a password, alone on one line, but \"%s/windows\" ends "
        "its line as Windows does, with a carriage return, which would be taken for part of the password; "
        "\"sed -i 's/\\r$//'\" with the file's path removes it",
        config_support_folder);
    config_support_assert_mistake("redis:\n  password_file: windows", expected);

    snprintf(expected, sizeof(expected),
             "weftd.yaml:2:18: \"redis.password_file\" must hold a password, alone on one line, but \"%s/lines\" holds "
             "something else",
             config_support_folder);
    config_support_write_bytes("lines", "sec\0ret\n", 8);
    config_support_assert_mistake("redis:\n  password_file: lines", expected);

    memset(longer, 'x', sizeof(longer));
    config_support_write_bytes("longer", longer, 4097);
    snprintf(expected, sizeof(expected),
             "weftd.yaml:2:18: \"redis.password_file\" must hold at most 4096 bytes; \"%s/longer\" holds more",
             config_support_folder);
    config_support_assert_mistake("redis:\n  password_file: longer", expected);

    config_support_assert_mistake("redis:\n  password_file:",
                                  "weftd.yaml:2:17: \"redis.password_file\" must be a file's path, not an empty value");
    config_support_assert_mistake("redis:\n  password_file: ''",
                                  "weftd.yaml:2:18: \"redis.password_file\" must be a file's path, not \"\"");
}

/* ---- The embedded one ---- */

static void an_embedded_redis_has_its_socket_in_its_folder(void **state)
{
    struct config *config = config_support_load("redis: {url: embedded, dir: data}");
    char expected[256];

    (void)state;
    assert_int_equal(config->redis.kind, CONFIG_REDIS_EMBEDDED);
    snprintf(expected, sizeof(expected), "%s/data", config_support_folder);
    assert_string_equal(config->redis.dir, expected);
    snprintf(expected, sizeof(expected), "%s/data/redis.sock", config_support_folder);
    assert_string_equal(config->redis.socket_path, expected);
    assert_string_equal(config->queue_options.socket_path, expected);
    assert_null(config->queue_options.host);
    config_free(config);
}

static void an_embedded_redis_has_no_password(void **state)
{
    (void)state;
    config_support_write("password", "secret\n");
    config_support_assert_mistake("redis:\n  url: embedded\n  password_file: password\n",
                                  "weftd.yaml:3:3: the embedded Redis has no password; leave out "
                                  "\"redis.password_file\"");
}

static void the_folder_of_an_embedded_redis_leaves_room_for_its_socket(void **state)
{
    struct config *config = config_support_load("redis: {url: embedded, dir: /" NINETY_BYTES "abcde}");

    (void)state;
    assert_int_equal(strlen(config->redis.socket_path), 107);
    config_free(config);
    config_support_assert_mistake("redis: {url: embedded, dir: /" NINETY_BYTES "abcdef}",
                                  "weftd.yaml:1:29: \"redis.dir\" must be shorter: the path of the socket in it, "
                                  "redis.sock, must be at most 107 bytes long, not 108");
    /* No socket, no limit. */
    config_free(config_support_load("redis: {dir: /" NINETY_BYTES "abcdef}"));
}

/* Loads without root's rights. */
static struct config *load_as_somebody(const char *text)
{
    uid_t user = geteuid();
    struct config *config;

    config_support_write(CONFIG_FILE, text);
    if (user == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    assert_int_equal(config_load(CONFIG_FILE, &config, &(char *){NULL}), 0);
    assert_int_equal(seteuid(user), 0);
    return config;
}

static void assert_dir_of_somebody(const char *dir)
{
    struct config *config = load_as_somebody("{}");

    if (dir)
        assert_string_equal(config->redis.dir, dir);
    else
        assert_null(config->redis.dir);
    config_free(config);
}

static void the_data_of_root_is_in_var(void **state)
{
    struct config *config;

    (void)state;
    if (geteuid() != 0)
        skip();
    setenv("XDG_STATE_HOME", "/state", 1);
    config = config_support_load("{}");
    assert_string_equal(config->redis.dir, "/var/lib/weft/redis");
    config_free(config);
}

static void the_data_of_others_is_where_their_state_is(void **state)
{
    (void)state;
    assert_dir_of_somebody(NULL);
    setenv("HOME", "/home/somebody", 1);
    assert_dir_of_somebody("/home/somebody/.local/state/weft/redis");
    setenv("XDG_STATE_HOME", "relative", 1);
    assert_dir_of_somebody("/home/somebody/.local/state/weft/redis");
    setenv("XDG_STATE_HOME", "/state", 1);
    assert_dir_of_somebody("/state/weft/redis");
}

static void an_embedded_redis_of_a_user_without_a_home_needs_a_folder(void **state)
{
    uid_t user = geteuid();

    (void)state;
    config_support_write(CONFIG_FILE, "redis: {url: embedded}");
    if (user == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    config_support_assert_refused(CONFIG_FILE, -EINVAL,
                                  "weftd.yaml:1:14: the embedded Redis needs \"redis.dir\", the folder of its data, "
                                  "because neither $XDG_STATE_HOME nor $HOME says where that would be");
    assert_int_equal(seteuid(user), 0);
}

#define TEST(name_) cmocka_unit_test_setup(name_, reset_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_password_is_what_the_file_holds_without_its_line_feed),
        cmocka_unit_test_setup_teardown(a_credential_of_systemd_goes_before_a_file_beside_the_configuration,
                                        reset_environment, remove_credential),
        TEST(a_bad_password_file_is_named),
        TEST(an_embedded_redis_has_its_socket_in_its_folder),
        TEST(an_embedded_redis_has_no_password),
        TEST(the_folder_of_an_embedded_redis_leaves_room_for_its_socket),
        TEST(the_data_of_root_is_in_var),
        TEST(the_data_of_others_is_where_their_state_is),
        TEST(an_embedded_redis_of_a_user_without_a_home_needs_a_folder),
    };

    return cmocka_run_group_tests_name("config_redis", tests, config_support_set_up, config_support_tear_down);
}
