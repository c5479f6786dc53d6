/* Frames: what a context is made of. */
#include <pthread.h>
#include <stdlib.h>

#include "context/current.h"
#include "context/frame.h"
#include "tests/support/expect.h"

/* ---- Seeds ---- */

static int releases;
static void *released;

static void count_release(void *pointer)
{
    releases++;
    released = pointer;
    EXPECT_TEXT(weft_get("user"), NULL);
    EXPECT(weft_capture() == NULL);
}

static int forget_releases(void **state)
{
    (void)state;
    releases = 0;
    released = NULL;
    return 0;
}

static struct weft_context *seeded(const struct frame_entry *entries, size_t count)
{
    static int owner;
    struct weft_context *frame = NULL;

    assert_int_equal(frame_new(entries, count, &owner, count_release, &frame), 0);
    assert_ptr_equal(frame_owner(frame), &owner);
    return frame;
}

static const struct frame_entry user_and_tenant[] = {
    {.name = "user", .value = "ada", .size = 3},
    {.name = "tenant", .value = "acme", .size = 4},
};

static int read_seed(void *arg)
{
    size_t size = 0;

    EXPECT_TEXT(weft_get("user"), "ada");
    EXPECT_TEXT(weft_get_bytes("tenant", &size), "acme");
    EXPECT_EQUAL(size, 4);
    EXPECT_TEXT(weft_get("use"), NULL);
    EXPECT_TEXT(weft_get("users"), NULL);
    EXPECT_TEXT(weft_get(""), NULL);
    EXPECT(weft_get_pointer("user") == NULL);
    return *(int *)arg;
}

static void seeded_values_are_read_under_their_names(void **state)
{
    struct weft_context *frame = seeded(user_and_tenant, 2);
    int result = 17;

    (void)state;
    EXPECT_EQUAL(weft_run_in(frame, read_seed, &result), 17);
    EXPECT_EQUAL(releases, 0);
    (void)weft_context_unref(frame);
    EXPECT_EQUAL(releases, 1);
}

static int count_visit(const char *name, const char *value, size_t size, void *arg)
{
    EXPECT_TEXT(name, "user");
    EXPECT_TEXT(value, "ada");
    EXPECT_EQUAL(size, 3);
    ++*(int *)arg;
    return 0;
}

static void the_first_of_a_seeds_names_counts(void **state)
{
    const struct frame_entry entries[] = {{"user", "ada", 3}, {"user", "bob", 3}, {"user", "eve", 3}};
    struct weft_context *frame = seeded(entries, 3);
    struct frame_key key = frame_key("user");
    struct frame_found found = {0};

    (void)state;
    EXPECT(frame_find(frame, &key, &found));
    EXPECT_TEXT(found.text, "ada");
    int visits = 0;
    EXPECT_EQUAL(frame_each(frame, count_visit, &visits), 0);
    EXPECT_EQUAL(visits, 1);
    (void)weft_context_unref(frame);
}

static void an_empty_seed_has_an_owner_and_no_values(void **state)
{
    struct weft_context *frame = seeded(NULL, 0);
    struct frame_key key = frame_key("user");
    struct frame_found found;

    (void)state;
    EXPECT(!frame_find(frame, &key, &found));
    EXPECT(frame_owner(NULL) == NULL);
    (void)weft_context_unref(frame);
    EXPECT_EQUAL(releases, 1);
}

static void a_thousand_seeded_values_are_all_found_and_nothing_else_is(void **state)
{
    enum { COUNT = 1000 };
    static char names[COUNT][16];
    static struct frame_entry entries[COUNT];

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%.*s%u", (int)(i % 6), "abcdef", i);
        entries[i] = (struct frame_entry){.name = names[i], .value = names[i], .size = strlen(names[i])};
    }
    struct weft_context *frame = seeded(entries, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        struct frame_key key = frame_key(names[i]);
        struct frame_found found = {0};

        EXPECT(frame_find(frame, &key, &found));
        EXPECT(found.text == names[i]);
        names[i][0] = '#';
    }
    for (size_t i = 0; i < COUNT; i++) {
        struct frame_key key = frame_key("missing");

        key.hash = (uint32_t)i; /* wherever the search begins, it ends */
        EXPECT(!frame_find(frame, &key, &(struct frame_found){0}));
    }
    (void)weft_context_unref(frame);
}

static void more_entries_than_a_seed_can_count_are_refused(void **state)
{
    struct weft_context *frame = NULL;

    (void)state;
    EXPECT_EQUAL(frame_new(NULL, UINT16_MAX, NULL, count_release, &frame), -E2BIG);
    EXPECT(frame == NULL);
    EXPECT_EQUAL(releases, 0);
}

/* ---- Changing ---- */

static int change_text(struct weft_context **frame, const char *name, const char *value)
{
    struct frame_key key = frame_key(name);

    return frame_change(frame, &key, &(struct frame_change){.kind = FRAME_TEXT, .data = value, .size = strlen(value)});
}

static int hide(struct weft_context **frame, const char *name)
{
    struct frame_key key = frame_key(name);

    return frame_change(frame, &key, &(struct frame_change){.kind = FRAME_ABSENT});
}

static int change_pointer(struct weft_context **frame, const char *name, void *pointer)
{
    struct frame_key key = frame_key(name);

    return frame_change(frame, &key,
                        &(struct frame_change){.kind = FRAME_POINTER, .pointer = pointer, .release = count_release});
}

static const char *text_of(const struct weft_context *frame, const char *name)
{
    struct frame_key key = frame_key(name);
    struct frame_found found = {0};

    return frame_find(frame, &key, &found) ? found.text : NULL;
}

static void a_frame_of_ones_own_is_changed_in_place(void **state)
{
    struct weft_context *frame = NULL;

    (void)state;
    EXPECT_EQUAL(change_text(&frame, "a", "1"), 0);
    struct weft_context *first = frame;
    EXPECT_EQUAL(change_text(&frame, "a", "2"), 0);
    EXPECT_EQUAL(change_text(&frame, "b", "3"), 0);
    EXPECT_EQUAL(hide(&frame, "a"), 0);
    EXPECT(frame == first);
    EXPECT_EQUAL(weft_contexts_alive(), 1);
    EXPECT_TEXT(text_of(frame, "a"), NULL);
    EXPECT_TEXT(text_of(frame, "b"), "3");
    (void)weft_context_unref(frame);
}

static void a_frame_that_somebody_else_holds_is_copied(void **state)
{
    struct weft_context *frame = seeded(user_and_tenant, 2);

    (void)state;
    EXPECT_EQUAL(change_text(&frame, "a", "1"), 0);
    struct weft_context *captured = weft_context_ref(frame);
    EXPECT_EQUAL(change_text(&frame, "a", "2"), 0);
    EXPECT_EQUAL(change_text(&frame, "user", "bob"), 0);
    EXPECT(frame != captured);
    EXPECT_TEXT(text_of(captured, "a"), "1");
    EXPECT_TEXT(text_of(captured, "user"), "ada");
    EXPECT_TEXT(text_of(frame, "a"), "2");
    EXPECT_TEXT(text_of(frame, "user"), "bob");
    EXPECT(frame_owner(frame) == frame_owner(captured));
    (void)weft_context_unref(captured);
    EXPECT_EQUAL(releases, 0);
    (void)weft_context_unref(frame);
    EXPECT_EQUAL(releases, 1);
}

static void a_seeded_value_can_be_overridden_hidden_and_set_again(void **state)
{
    struct weft_context *frame = seeded(user_and_tenant, 2);

    (void)state;
    EXPECT_EQUAL(hide(&frame, "user"), 0);
    EXPECT_TEXT(text_of(frame, "user"), NULL);
    EXPECT_TEXT(text_of(frame, "tenant"), "acme");
    EXPECT_EQUAL(change_text(&frame, "user", "eve"), 0);
    EXPECT_TEXT(text_of(frame, "user"), "eve");
    EXPECT_EQUAL(hide(&frame, "user"), 0);
    EXPECT_EQUAL(hide(&frame, "user"), 0);
    EXPECT_TEXT(text_of(frame, "user"), NULL);
    (void)weft_context_unref(frame);
}

/* ---- Limits ---- */

static void a_frame_holds_as_many_values_as_it_may_and_no_more(void **state)
{
    struct weft_context *frame = NULL;
    char name[16];

    (void)state;
    for (int i = 0; i < WEFT_CONTEXT_VALUES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        EXPECT_EQUAL(change_text(&frame, name, name), 0);
    }
    EXPECT_EQUAL(change_text(&frame, "one-more", "x"), -E2BIG);
    EXPECT_EQUAL(change_pointer(&frame, "one-more", &name), -E2BIG);
    EXPECT_EQUAL(releases, 0);
    EXPECT_EQUAL(change_text(&frame, "n7", "seven"), 0);
    EXPECT_EQUAL(hide(&frame, "n8"), 0);
    EXPECT_EQUAL(change_text(&frame, "one-more", "x"), 0);
    EXPECT_TEXT(text_of(frame, "n7"), "seven");
    EXPECT_TEXT(text_of(frame, "n8"), NULL);
    EXPECT_TEXT(text_of(frame, "n127"), "n127");
    EXPECT_TEXT(text_of(frame, "one-more"), "x");
    (void)weft_context_unref(frame);
}

static void a_frame_holds_as_many_bytes_as_it_may_and_no_more(void **state)
{
    static char big[WEFT_CONTEXT_BYTES_MAX];
    struct weft_context *frame = NULL;

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    EXPECT_EQUAL(change_text(&frame, "ab", big), -E2BIG);
    EXPECT(frame == NULL);
    big[sizeof(big) - 2] = '\0'; /* with the name, as much as there may be */
    EXPECT_EQUAL(change_text(&frame, "ab", big), 0);
    EXPECT_EQUAL(change_text(&frame, "c", ""), -E2BIG);
    EXPECT_EQUAL(change_text(&frame, "ab", big + 1), 0);
    EXPECT_EQUAL(change_text(&frame, "c", ""), 0);
    EXPECT_EQUAL(change_text(&frame, "d", ""), -E2BIG);
    EXPECT_EQUAL(hide(&frame, "ab"), 0);
    EXPECT_EQUAL(change_text(&frame, "d", "e"), 0);
    (void)weft_context_unref(frame);
}

static void a_size_that_would_overflow_is_refused(void **state)
{
    struct weft_context *frame = NULL;
    struct frame_key key = frame_key("a");

    (void)state;
    EXPECT_EQUAL(frame_change(&frame, &key, &(struct frame_change){.kind = FRAME_TEXT, .data = "", .size = SIZE_MAX}),
                 -E2BIG);
    EXPECT(frame == NULL);
}

static void names_that_come_and_go_do_not_fill_a_frame(void **state)
{
    struct weft_context *frame = seeded(user_and_tenant, 2);
    char name[16];

    (void)state;
    for (int i = 0; i < 10 * WEFT_CONTEXT_VALUES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        EXPECT_EQUAL(change_text(&frame, name, "x"), 0);
        struct weft_context *captured = i % 3 == 0 ? weft_context_ref(frame) : NULL;
        EXPECT_EQUAL(hide(&frame, name), 0);
        EXPECT_EQUAL(hide(&frame, "never-set"), 0);
        EXPECT_TEXT(text_of(frame, name), NULL);
        EXPECT_TEXT(captured ? text_of(captured, name) : "x", "x");
        (void)weft_context_unref(captured);
    }
    EXPECT_TEXT(text_of(frame, "user"), "ada");
    (void)weft_context_unref(frame);
}

/* ---- Pointers ---- */

static void a_pointer_is_released_with_the_last_frame_that_holds_it(void **state)
{
    struct weft_context *frame = NULL;
    int one, other;

    (void)state;
    EXPECT_EQUAL(change_pointer(&frame, "p", &one), 0);
    struct weft_context *captured = weft_context_ref(frame);
    EXPECT_EQUAL(change_pointer(&frame, "p", &other), 0);
    EXPECT_EQUAL(change_text(&frame, "p", "text now"), 0);
    EXPECT_EQUAL(releases, 1);
    EXPECT(released == &other);
    EXPECT_EQUAL(hide(&frame, "p"), 0);
    (void)weft_context_unref(frame);
    EXPECT_EQUAL(releases, 1);
    (void)weft_context_unref(captured);
    EXPECT_EQUAL(releases, 2);
    EXPECT(released == &one);
}

static void a_pointer_without_a_release_function_is_left_alone(void **state)
{
    struct weft_context *frame = NULL;
    struct frame_key key = frame_key("p");
    int pointed_to;

    (void)state;
    EXPECT_EQUAL(frame_change(&frame, &key, &(struct frame_change){.kind = FRAME_POINTER, .pointer = &pointed_to}), 0);
    struct frame_found found = {.text = ""};
    EXPECT(frame_find(frame, &key, &found));
    EXPECT(found.pointer == &pointed_to && !found.text);
    (void)weft_context_unref(frame);
}

static void *unref_on_thread(void *frame)
{
    return weft_context_unref(frame);
}

static void a_pointer_may_be_released_on_another_thread(void **state)
{
    struct weft_context *frame = NULL;
    pthread_t thread;
    int pointed_to;

    (void)state;
    EXPECT_EQUAL(change_pointer(&frame, "p", &pointed_to), 0);
    assert_int_equal(pthread_create(&thread, NULL, unref_on_thread, frame), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    EXPECT_EQUAL(releases, 1);
}

#define FRAME_TEST(function_) cmocka_unit_test_setup_teardown(function_, forget_releases, expect_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(seeded_values_are_read_under_their_names),
        FRAME_TEST(the_first_of_a_seeds_names_counts),
        FRAME_TEST(an_empty_seed_has_an_owner_and_no_values),
        FRAME_TEST(a_thousand_seeded_values_are_all_found_and_nothing_else_is),
        FRAME_TEST(more_entries_than_a_seed_can_count_are_refused),
        FRAME_TEST(a_frame_of_ones_own_is_changed_in_place),
        FRAME_TEST(a_frame_that_somebody_else_holds_is_copied),
        FRAME_TEST(a_seeded_value_can_be_overridden_hidden_and_set_again),
        FRAME_TEST(a_frame_holds_as_many_values_as_it_may_and_no_more),
        FRAME_TEST(a_frame_holds_as_many_bytes_as_it_may_and_no_more),
        FRAME_TEST(a_size_that_would_overflow_is_refused),
        FRAME_TEST(names_that_come_and_go_do_not_fill_a_frame),
        FRAME_TEST(a_pointer_is_released_with_the_last_frame_that_holds_it),
        FRAME_TEST(a_pointer_without_a_release_function_is_left_alone),
        FRAME_TEST(a_pointer_may_be_released_on_another_thread),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
