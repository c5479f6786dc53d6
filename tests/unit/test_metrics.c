/* What the metrics are counted in: histograms, tallies of workers, and totals that outlive them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "daemon/metrics/exposition.h"
#include "daemon/metrics/totals.h"

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))

/* ---- Histograms ---- */

static uint64_t count_at(const struct histogram *histogram, size_t place)
{
    return counter_get(&histogram->counts[place]);
}

static void bounds_grow_and_are_spelled_in_seconds(void **state)
{
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        assert_int_equal(histogram_bounds[i].us, (int64_t)(strtod(histogram_bounds[i].seconds, NULL) * 1e6 + 0.5));
        if (i > 0)
            assert_true(histogram_bounds[i].us > histogram_bounds[i - 1].us);
    }
}

static void a_duration_counts_in_the_first_bucket_that_it_is_not_above(void **state)
{
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        struct histogram histogram = {0};

        histogram_add(&histogram, histogram_bounds[i].us);
        histogram_add(&histogram, histogram_bounds[i].us + 1);
        assert_int_equal(count_at(&histogram, i), 1);
        assert_int_equal(count_at(&histogram, i + 1), 1);
        assert_int_equal(counter_get(&histogram.sum_us), 2 * histogram_bounds[i].us + 1);
    }
}

static void a_clock_that_went_back_counts_as_no_time(void **state)
{
    struct histogram histogram = {0};

    (void)state;
    histogram_add(&histogram, -5000);
    assert_int_equal(count_at(&histogram, 0), 1);
    assert_int_equal(counter_get(&histogram.sum_us), 0);
}

/* ---- Tallies and totals ---- */

static struct queue_spec two_queues[] = {{.name = "critical"}, {.name = "default"}};
static struct queue_spec one_queue[] = {{.name = "default"}};
static struct config_job three_types[] = {{.type = (char *)"a"}, {.type = (char *)"b"}, {.type = (char *)"c"}};
static struct config_job other_types[] = {{.type = (char *)"c"}, {.type = (char *)"d"}};

static const struct config old_config = {
    .queues = two_queues, .queue_count = COUNT(two_queues), .jobs = three_types, .job_count = COUNT(three_types)};
static const struct config new_config = {
    .queues = one_queue, .queue_count = COUNT(one_queue), .jobs = other_types, .job_count = COUNT(other_types)};

static struct tally new_tally(const struct config *config)
{
    void *memory = calloc(1, tally_size(config));
    struct tally tally;

    assert_non_null(memory);
    tally_init(&tally, memory, config);
    return tally;
}

static struct tally_cell *find(const struct tally *tally, const char *queue, const char *type)
{
    return tally_cell(tally, tally_find_queue(tally, queue), tally_find_type(tally, type));
}

static const struct tally_cell *find_total(const struct totals *totals, const char *queue, const char *type)
{
    for (size_t i = 0; i < totals->cell_count; i++)
        if (strcmp(totals->cells[i].queue, queue) == 0 && strcmp(totals->cells[i].type, type) == 0)
            return &totals->cells[i].sum;
    return NULL;
}

static void each_queue_and_type_has_a_cell_of_its_own(void **state)
{
    static const char *const types[] = {"a", "b", "c", NULL};
    struct tally tally = new_tally(&old_config);

    (void)state;
    for (size_t i = 0; i < COUNT(two_queues); i++)
        for (size_t j = 0; j < COUNT(types); j++)
            counter_add(&find(&tally, two_queues[i].name, types[j])->attempts, 10 * i + j + 1);
    for (size_t i = 0; i < COUNT(two_queues); i++)
        for (size_t j = 0; j < COUNT(types); j++)
            assert_int_equal(counter_get(&find(&tally, two_queues[i].name, types[j])->attempts), 10 * i + j + 1);
    assert_ptr_equal(find(&tally, "default", "unheard of"), find(&tally, "default", NULL));
    assert_true((char *)(find(&tally, "default", NULL) + 1) == (char *)tally.queues + tally_size(&old_config));
    free(tally.queues);
}

static void totals_go_by_names_whatever_the_configuration(void **state)
{
    struct tally old = new_tally(&old_config), new = new_tally(&new_config);
    struct totals totals = {0};

    (void)state;
    counter_add(&find(&old, "default", "c")->attempts, 3);
    counter_add(&find(&old, "default", "c")->outcomes[JOB_DONE], 2);
    counter_add(&find(&old, "critical", "a")->attempts, 1);
    counter_add(&find(&new, "default", "c")->attempts, 4);
    counter_add(&find(&new, "default", NULL)->outcomes[JOB_DEAD], 5);
    histogram_add(&find(&old, "default", "c")->durations, 1000);
    histogram_add(&find(&new, "default", "c")->durations, 2000);
    histogram_add(&old.queues[1].waits, 1);
    histogram_add(&new.queues[0].waits, 2);
    assert_int_equal(totals_add_tally(&totals, &old, true), 0);
    assert_int_equal(totals_add_tally(&totals, &new, false), 0);
    assert_int_equal(totals.cell_count, 3);
    assert_int_equal(counter_get(&find_total(&totals, "default", "c")->attempts), 7);
    assert_int_equal(counter_get(&find_total(&totals, "default", "c")->outcomes[JOB_DONE]), 2);
    assert_int_equal(counter_get(&find_total(&totals, "default", "c")->durations.sum_us), 3000);
    assert_int_equal(counter_get(&find_total(&totals, "critical", "a")->attempts), 1);
    assert_int_equal(counter_get(&find_total(&totals, "default", "")->outcomes[JOB_DEAD]), 5);
    assert_int_equal(totals.queue_count, 2);
    assert_int_equal(counter_get(&totals.queues[1].sum.waits.sum_us), 3);
    totals_done(&totals);
    free(old.queues);
    free(new.queues);
}

static void nothing_of_a_worker_that_is_gone_is_running(void **state)
{
    struct tally tally = new_tally(&new_config);
    struct totals gone = {0}, totals = {0};

    (void)state;
    counter_add(&find(&tally, "default", "d")->attempts, 2);
    counter_add(&find(&tally, "default", "d")->running, 2);
    assert_int_equal(totals_add_tally(&gone, &tally, true), 0);
    assert_int_equal(totals_add(&totals, &gone), 0);
    assert_int_equal(totals_add_tally(&totals, &tally, false), 0);
    assert_int_equal(counter_get(&find_total(&totals, "default", "d")->attempts), 4);
    assert_int_equal(counter_get(&find_total(&totals, "default", "d")->running), 2);
    totals_done(&gone);
    totals_done(&totals);
    free(tally.queues);
}

/* ---- Prometheus's text format ---- */

static void assert_text(struct evbuffer *buffer, const char *expected)
{
    assert_int_equal(evbuffer_add(buffer, "", 1), 0);
    assert_string_equal((const char *)evbuffer_pullup(buffer, -1), expected);
    evbuffer_free(buffer);
}

static void samples_are_spelled_as_prometheus_reads_them(void **state)
{
    struct evbuffer *buffer = evbuffer_new();

    (void)state;
    assert_non_null(buffer);
    exposition_begin(buffer, "weft_x", "gauge", "What it is.");
    exposition_add(buffer, "weft_x", "", 18446744073709551615U);
    exposition_add(buffer, "weft_x", "queue=\"q\"", 0);
    exposition_add_real(buffer, "weft_x", "queue=\"q\"", 1.5);
    assert_text(buffer, "# HELP weft_x What it is.\n# TYPE weft_x gauge\nweft_x 18446744073709551615\n"
                        "weft_x{queue=\"q\"} 0\nweft_x{queue=\"q\"} 1.500000\n");
}

static void buckets_are_cumulative_and_the_last_one_is_the_count(void **state)
{
    struct evbuffer *buffer = evbuffer_new();
    struct histogram histogram = {0};

    (void)state;
    assert_non_null(buffer);
    histogram_add(&histogram, 50);
    histogram_add(&histogram, 200);
    histogram_add(&histogram, INT64_C(7200000000));
    exposition_add_histogram(buffer, "weft_x", "", &histogram);
    exposition_add_histogram(buffer, "weft_x", "queue=\"q\"", &histogram);
    assert_int_equal(evbuffer_add(buffer, "", 1), 0);
    const char *text = (const char *)evbuffer_pullup(buffer, -1);
    static const char *const lines[] = {
        "weft_x_bucket{le=\"0.0001\"} 1\nweft_x_bucket{le=\"0.00025\"} 2\nweft_x_bucket{le=\"0.0005\"} 2\n",
        "weft_x_bucket{le=\"1800\"} 2\nweft_x_bucket{le=\"+Inf\"} 3\nweft_x_sum 7200.000250\nweft_x_count 3\n",
        "weft_x_bucket{queue=\"q\",le=\"0.0001\"} 1\n",
        "weft_x_sum{queue=\"q\"} 7200.000250\nweft_x_count{queue=\"q\"} 3\n",
    };
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_non_null(strstr(text, lines[i]));
    evbuffer_free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_grow_and_are_spelled_in_seconds),
        cmocka_unit_test(a_duration_counts_in_the_first_bucket_that_it_is_not_above),
        cmocka_unit_test(a_clock_that_went_back_counts_as_no_time),
        cmocka_unit_test(each_queue_and_type_has_a_cell_of_its_own),
        cmocka_unit_test(totals_go_by_names_whatever_the_configuration),
        cmocka_unit_test(nothing_of_a_worker_that_is_gone_is_running),
        cmocka_unit_test(samples_are_spelled_as_prometheus_reads_them),
        cmocka_unit_test(buckets_are_cumulative_and_the_last_one_is_the_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
