/* What happens where an allocation fails while a configuration is loaded: an error, and nothing is left behind (which
 * the sanitizer and valgrind look for). Each is failed in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_support.h"
#include "tests/support/failing_memory.h"

#define ALLOCATIONS_MAX 500

/* Loads the file with its first, second, ... allocation failing, until memory is not what it fails for. */
static void fail_each(int expected)
{
    int failures = 0;

    for (; failures < ALLOCATIONS_MAX; failures++) {
        struct config *config = NULL;
        char *message = NULL;
        int r;

        allocations_left = failures;
        r = config_load(CONFIG_FILE, &config, &message);
        allocations_left = -1;
        config_free(config);
        if (r != -ENOMEM) {
            assert_int_equal(r, expected);
            free(message);
            break;
        }
        assert_null(config);
        assert_null(message);
    }
    assert_in_range(failures, 5, ALLOCATIONS_MAX - 1);
}

static void a_configuration_is_loaded_whole_or_not_at_all(void **state)
{
    (void)state;
    config_support_write("password", "secret\n");
    config_support_write(CONFIG_FILE,
                         "redis: {url: 'redis://user@redis:1/2', password_file: password, prefix: p, dir: d}\n"
                         "node: a\n"
                         "queues: [{name: a}, {name: b, weight: 2}]\n"
                         "plugins: [a.so, /b.so]\n"
                         "jobs: {a: {chain: [x, y]}, b: {chain: [z]}}\n"
                         "log: {output: [stderr, weft.log], fields: [a, '*']}\n");
    fail_each(0);
}

static void so_are_its_defaults(void **state)
{
    (void)state;
    config_support_write(CONFIG_FILE, "redis: {url: embedded, dir: d}\n");
    fail_each(0);
}

static void so_is_a_message(void **state)
{
    (void)state;
    config_support_write(CONFIG_FILE, "jobs: {a: {chan: [x]}}\n");
    fail_each(-EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_is_loaded_whole_or_not_at_all),
        cmocka_unit_test(so_are_its_defaults),
        cmocka_unit_test(so_is_a_message),
    };

    return cmocka_run_group_tests_name("config_no_memory", tests, config_support_set_up, config_support_tear_down);
}
