/* Job slots: what is written about a job can be read by somebody who trusts nothing. */
#include <errno.h>

#include "context/name.h"
#include "daemon/scoreboard/job_slot_read.h"
#include "tests/support/crash_support.h"

enum { CAPACITY = 4 };

struct table {
    struct job_slot_table job_slots;
    void *memory;
};

static struct table table_begin(size_t capacity)
{
    struct table table = {.memory = aligned_alloc(64, job_slot_table_size(capacity))};

    assert_non_null(table.memory);
    memset(table.memory, 0, job_slot_table_size(capacity));
    job_slot_table_init(&table.job_slots, table.memory, capacity);
    return table;
}

static struct job_type type = {.name = "user.profile", .attempts = 5, .timeout_ms = 30000};

static const struct job_field fields[] = {
    {.name = "request_id", .value = "req-A", .size = 5},
    {.name = "binary", .value = "a\0b", .size = 3},
    {.name = "tenant", .value = "acme", .size = 4},
    {.name = "weft.job_id", .value = "forged", .size = 6},
};

static struct job record = {
    .id = "job-7",
    .type = "user.profile",
    .queue = "default",
    .entry = "1763922000123-0",
    .root = "root-1",
    .trace_id = "0123456789abcdef0123456789abcdef",
    .payload = "body",
    .metadata = fields,
    .metadata_count = 4,
    .attempt = 2,
    .enqueued_ms = 1763922000123,
};

static struct weft_job job = {.record = &record, .type = &type, .span_id = "0123456789abcdef"};

static void a_job_slot_says_what_settling_the_job_needs(void **state)
{
    struct table table = table_begin(CAPACITY);
    struct job_slot *job_slot = job_slot_take(&table.job_slots, &job);
    struct job_slot_job read;

    (void)state;
    assert_int_equal(job_slot_read_job(job_slot, &read), 0);
    assert_string_equal(read.job.id, "job-7");
    assert_string_equal(read.job.type, "user.profile");
    assert_string_equal(read.job.queue, "default");
    assert_string_equal(read.job.entry, "1763922000123-0");
    assert_string_equal(read.job.root, "root-1");
    assert_string_equal(read.job.payload, "");
    assert_int_equal(read.job.attempt, 2);
    assert_int_equal(read.job.attempts, 5);
    assert_int_equal(read.job.enqueued_ms, 1763922000123);
    assert_int_equal(read.started_ms, 0);
    assert_int_equal(read.deadline_us, 0);
    free(table.memory);
}

static void a_job_slot_knows_the_deadline_when_the_job_has_started(void **state)
{
    struct table table = table_begin(CAPACITY);
    struct weft_job started = job;
    struct job wanting = record;
    struct job_slot_job read;

    (void)state;
    wanting.timeout_ms = 1000;
    wanting.attempts = 9;
    started.record = &wanting;
    struct job_slot *job_slot = job_slot_take(&table.job_slots, &started);
    started.started_ms = 1763922000200;
    started.started_us = 77;
    job_slot_start(job_slot, &started);
    assert_int_equal(job_slot_read_job(job_slot, &read), 0);
    assert_int_equal(read.started_ms, 1763922000200);
    assert_int_equal(read.deadline_us, 77 + 1000 * 1000);
    assert_int_equal(read.job.attempts, 9);
    free(table.memory);
}

static int expect_context(void *arg)
{
    size_t size = 0;

    (void)arg;
    EXPECT_TEXT(weft_get("weft.job_id"), "job-7");
    EXPECT_TEXT(weft_get("weft.type"), "user.profile");
    EXPECT_TEXT(weft_get("weft.queue"), "default");
    EXPECT_TEXT(weft_get("weft.attempt"), "2");
    EXPECT_TEXT(weft_get("weft.root_id"), "root-1");
    EXPECT_TEXT(weft_get("weft.trace_id"), "0123456789abcdef0123456789abcdef");
    EXPECT_TEXT(weft_get("weft.span_id"), "0123456789abcdef");
    EXPECT_TEXT(weft_get("weft.handler"), "load_profile");
    EXPECT_TEXT(weft_get("weft.task"), "audit");
    EXPECT_TEXT(weft_get("request_id"), "req-A");
    EXPECT_TEXT(weft_get("tenant"), "acme");
    const void *bytes = weft_get_bytes("binary", &size);
    EXPECT_EQUAL(size, 3);
    EXPECT(bytes && memcmp(bytes, "a\0b", 3) == 0);
    return 0;
}

static int expect_bare_context(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("weft.job_id"), "job-7");
    EXPECT_TEXT(weft_get("weft.handler"), NULL);
    EXPECT_TEXT(weft_get("weft.task"), NULL);
    EXPECT_TEXT(weft_get("weft.trace_id"), NULL);
    return 0;
}

static void the_context_is_rebuilt_and_outlives_the_job_slot(void **state)
{
    struct table table = table_begin(CAPACITY);
    struct weft_job untraced = job;
    struct job plain = record;
    struct weft_context *context, *bare;

    (void)state;
    plain.trace_id = NULL;
    untraced.record = &plain;
    untraced.span_id[0] = '\0';
    assert_int_equal(job_slot_read_context(job_slot_take(&table.job_slots, &job), "load_profile", "audit", &context),
                     0);
    assert_int_equal(job_slot_read_context(job_slot_take(&table.job_slots, &untraced), NULL, "", &bare), 0);
    free(table.memory);
    (void)weft_run_in(context, expect_context, NULL);
    (void)weft_run_in(bare, expect_bare_context, NULL);
    (void)weft_context_unref(context);
    (void)weft_context_unref(bare);
}

static int expect_what_fits(void *arg)
{
    (void)arg;
    EXPECT_TEXT(weft_get("weft.job_id"), "job-7");
    EXPECT_TEXT(weft_get("large"), NULL);
    EXPECT_TEXT(weft_get("tenant"), "acme");
    return 0;
}

static void metadata_that_does_not_fit_is_left_out(void **state)
{
    static char large[JOB_METADATA_BYTES];
    struct table table = table_begin(CAPACITY);
    struct job_field rich[JOB_METADATA_MAX] = {{.name = "large", .value = large, .size = sizeof(large) - 1}};
    struct job full = record;
    struct weft_job rich_job = job;
    struct weft_context *context;

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    rich[1] = fields[2];
    for (size_t i = 2; i < JOB_METADATA_MAX; i++)
        rich[i] = (struct job_field){.name = "f", .value = large, .size = i * 3};
    full.metadata = rich;
    full.metadata_count = JOB_METADATA_MAX;
    rich_job.record = &full;
    assert_int_equal(job_slot_read_context(job_slot_take(&table.job_slots, &rich_job), NULL, NULL, &context), 0);
    (void)weft_run_in(context, expect_what_fits, NULL);
    (void)weft_context_unref(context);
    free(table.memory);
}

static void the_longest_names_all_fit(void **state)
{
    char name[NAME_SIZE_MAX + 1];
    struct table table = table_begin(CAPACITY);
    struct job longest = record;
    struct weft_job long_job = job;
    struct job_slot_job read;

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    longest.id = longest.type = longest.queue = longest.root = name;
    longest.entry = "18446744073709551615-18446744073709551615";
    long_job.record = &longest;
    assert_int_equal(job_slot_read_job(job_slot_take(&table.job_slots, &long_job), &read), 0);
    assert_string_equal(read.job.root, name);
    assert_string_equal(read.job.entry, "18446744073709551615-18446744073709551615");
    free(table.memory);
}

/* ---- Tables ---- */

static void job_slots_are_taken_until_none_is_free_and_again_when_dropped(void **state)
{
    struct table table = table_begin(CAPACITY);
    struct job_slot *job_slots[CAPACITY];

    (void)state;
    for (size_t i = 0; i < CAPACITY; i++) {
        job_slots[i] = job_slot_take(&table.job_slots, &job);
        assert_non_null(job_slots[i]);
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(job_slots[i], job_slots[j]);
    }
    assert_null(job_slot_take(&table.job_slots, &job));
    job_slot_end(&table.job_slots, job_slots[1]);
    assert_null(job_slot_take(&table.job_slots, &job));
    job_slot_drop(&table.job_slots, job_slots[1]);
    job_slot_drop(&table.job_slots, NULL);
    job_slot_end(&table.job_slots, NULL);
    job_slot_start(NULL, &job);
    assert_ptr_equal(job_slot_take(&table.job_slots, &job), job_slots[1]);
    assert_null(job_slot_take(&table.job_slots, &job));
    free(table.memory);
}

/* ---- After a peak ---- */

static size_t count_resident(void *memory, size_t size)
{
    static unsigned char pages[4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), count = (size + page - 1) / page, resident = 0;

    assert_true(count <= sizeof(pages));
    assert_int_equal(mincore(memory, size, pages), 0);
    for (size_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    return resident;
}

static void pages_that_a_peak_has_left_are_given_back_where_no_job_slot_is_in_use(void **state)
{
    enum { PEAK = 2000 };
    static struct job_slot *job_slots[PEAK];
    size_t size = job_slot_table_size(PEAK), page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = crash_support_map(size);
    struct job_slot_table table;
    struct job_slot_job read;

    (void)state;
    job_slot_table_init(&table, memory, PEAK);
    for (size_t i = 0; i < PEAK; i++)
        job_slots[i] = job_slot_take(&table, &job);
    size_t peak = count_resident(memory, size);
    assert_true(peak >= PEAK * sizeof(struct job_slot) / page);
    for (size_t i = 0; i < PEAK; i++)
        if (i != PEAK / 2)
            job_slot_drop(&table, job_slots[i]);
    job_slot_table_trim(&table);
    assert_int_equal(count_resident(memory, size), peak); /* they might still be wanted */
    job_slot_table_trim(&table);
    assert_true(count_resident(memory, size) <= 12);

    /* The one that is in use is untouched, and the others can be used again. */
    assert_int_equal(job_slot_read_job(job_slots[PEAK / 2], &read), 0);
    assert_string_equal(read.job.id, "job-7");
    for (size_t i = 1; i < PEAK; i++)
        assert_non_null(job_slot_take(&table, &job));
    assert_null(job_slot_take(&table, &job));
    for (size_t i = 0; i < PEAK; i++) {
        assert_int_equal(job_slot_read_job(job_slots[i], &read), 0);
        assert_string_equal(read.job.id, "job-7");
    }
    (void)munmap(memory, size);
}

static void a_job_slot_is_found_by_the_identity_of_its_job_while_it_is_in_use(void **state)
{
    struct table table = table_begin(CAPACITY);
    struct weft_job other = job;
    struct job_slot *mine = job_slot_take(&table.job_slots, &job), *others = job_slot_take(&table.job_slots, &other);

    (void)state;
    assert_ptr_equal(job_slot_find_running(&table.job_slots, (uintptr_t)&job), mine);
    assert_ptr_equal(job_slot_find_running(&table.job_slots, (uintptr_t)&other), others);
    assert_int_equal(job_slot_state(&table.job_slots, (size_t)(mine - table.job_slots.job_slots)), JOB_SLOT_RUNNING);
    job_slot_end(&table.job_slots, mine);
    assert_int_equal(job_slot_state(&table.job_slots, (size_t)(mine - table.job_slots.job_slots)), JOB_SLOT_ENDED);
    assert_ptr_equal(job_slot_find_running(&table.job_slots, (uintptr_t)&job), mine);
    job_slot_drop(&table.job_slots, mine);
    assert_null(job_slot_find_running(&table.job_slots, (uintptr_t)&job));
    assert_null(job_slot_find_running(&table.job_slots, 0));
    free(table.memory);
}

/* ---- Job slots that hold anything ---- */

static uint64_t fuzz_state = 11;

static uint32_t draw(void)
{
    fuzz_state = fuzz_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(fuzz_state >> 33);
}

static int visit(const char *name, const char *value, size_t size, void *arg)
{
    size_t *bytes = arg;

    *bytes += strlen(name) + size + (unsigned char)value[size];
    return 0;
}

static int walk(void *arg)
{
    return weft_each(visit, arg);
}

/* Gives whether it was taken for a job slot. */
static bool read_all(const struct job_slot *job_slot)
{
    struct weft_context *context;
    struct job_slot_job read;
    size_t bytes = 0;
    int r = job_slot_read_job(job_slot, &read);

    assert_true(r == 0 || r == -EBADMSG);
    if (r == 0)
        bytes += strlen(read.job.id) + strlen(read.job.entry) + strlen(read.job.root);
    assert_int_equal(job_slot_read_context(job_slot, "handler", NULL, &context), r);
    if (r == 0) {
        (void)weft_run_in(context, walk, &bytes);
        (void)weft_context_unref(context);
    }
    return r == 0;
}

static void no_job_slot_brings_its_reader_down(void **state)
{
    struct table table = table_begin(1);
    struct job_slot good = *job_slot_take(&table.job_slots, &job);
    int rounds = RUNNING_ON_VALGRIND ? 500 : 50000, readable = 0;

    (void)state;
    for (int round = 0; round < rounds; round++) {
        struct job_slot *job_slot = &table.job_slots.job_slots[0];
        size_t spoilt = round % 8 == 0 ? sizeof(*job_slot) * 2 : draw() % 4;

        memcpy(job_slot, &good, sizeof(good));
        for (size_t i = 0; i < spoilt; i++)
            ((unsigned char *)job_slot)[draw() % (round % 2 ? 320 : sizeof(*job_slot))] = (unsigned char)draw();
        readable += read_all(job_slot);
    }
    assert_true(readable > rounds / 10 && readable < rounds * 9 / 10);
    memset(table.memory, 0xff, job_slot_table_size(1));
    assert_int_equal(job_slot_state(&table.job_slots, 0), JOB_SLOT_FREE);
    assert_null(job_slot_find_running(&table.job_slots, UINTPTR_MAX));
    free(table.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_job_slot_says_what_settling_the_job_needs),
        EXPECT_TEST(a_job_slot_knows_the_deadline_when_the_job_has_started),
        EXPECT_TEST(the_context_is_rebuilt_and_outlives_the_job_slot),
        EXPECT_TEST(metadata_that_does_not_fit_is_left_out),
        EXPECT_TEST(the_longest_names_all_fit),
        EXPECT_TEST(job_slots_are_taken_until_none_is_free_and_again_when_dropped),
        EXPECT_TEST(a_job_slot_is_found_by_the_identity_of_its_job_while_it_is_in_use),
        EXPECT_TEST(pages_that_a_peak_has_left_are_given_back_where_no_job_slot_is_in_use),
        EXPECT_TEST(no_job_slot_brings_its_reader_down),
    };

    return cmocka_run_group_tests_name("job_slot", tests, NULL, NULL);
}
