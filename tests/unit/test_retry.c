/* When the next attempt begins. */
#include "tests/support/expect.h"

#include "handlers/retry.h"

static const struct retry_backoff steady = {.base_ms = 1000, .max_ms = 3600 * 1000};

static void delays_double_with_each_attempt(void **state)
{
    (void)state;
    assert_int_equal(retry_delay_ms(&steady, 1, 0.3), 1000);
    assert_int_equal(retry_delay_ms(&steady, 2, 0.3), 2000);
    assert_int_equal(retry_delay_ms(&steady, 5, 0.3), 16000);
}

static void delays_never_exceed_the_maximum(void **state)
{
    (void)state;
    assert_int_equal(retry_delay_ms(&steady, 13, 0), 3600 * 1000);
    assert_int_equal(retry_delay_ms(&steady, UINT32_MAX, 0), 3600 * 1000);

    struct retry_backoff huge = {.base_ms = INT64_MAX / 2, .max_ms = INT64_MAX / 2 + 1};
    assert_true(retry_delay_ms(&huge, 7, 0.5) > 0);

    struct retry_backoff inverted = {.base_ms = 5000, .max_ms = 1000};
    assert_int_equal(retry_delay_ms(&inverted, 1, 0), 1000);
}

static void jitter_varies_a_delay_both_ways_by_its_share(void **state)
{
    struct retry_backoff backoff = {.base_ms = 1000, .max_ms = 60000, .jitter = 0.2};

    (void)state;
    assert_int_equal(retry_delay_ms(&backoff, 1, 0), 800);
    assert_int_equal(retry_delay_ms(&backoff, 1, 0.5), 1000);
    assert_in_range(retry_delay_ms(&backoff, 1, 0.999999), 1199, 1200);
}

static void no_base_means_at_once(void **state)
{
    struct retry_backoff backoff = {.max_ms = 60000, .jitter = 1};

    (void)state;
    assert_int_equal(retry_delay_ms(&backoff, 4, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_with_each_attempt),
        cmocka_unit_test(delays_never_exceed_the_maximum),
        cmocka_unit_test(jitter_varies_a_delay_both_ways_by_its_share),
        cmocka_unit_test(no_base_means_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
