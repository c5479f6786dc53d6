/* Frames against a naive model: random changes, captures and releases, from a seed that is printed. */
#include <stdlib.h>

#include "context/frame.h"
#include "tests/support/expect.h"

enum { NAMES = 24, SEEDED = 8, HELD = 12, STEPS = 60000, VALUES = 7 };

/* What one frame is to show: per name a value's number, 0 for none. */
struct model {
    int values[NAMES];
};

struct held {
    struct weft_context *frame;
    struct model model;
};

/* Of very different lengths, and some alike but for one byte. */
static const char *const names[NAMES] = {
    "a",
    "b",
    "c",
    "ab",
    "ba",
    "abc",
    "abcd",
    "abce",
    "user_id",
    "user_ie",
    "tenant_id",
    "tenant.id",
    "trace-parent",
    "trace-parenu",
    "x.request.id",
    "y.request.id",
    "x.request.ie",
    "a.name.of.more.than.sixteen.bytes",
    "b.name.of.more.than.sixteen.bytes",
    "a.name.of.mooe.than.sixteen.bytes",
    "q",
    "r",
    "s",
    "t",
};
static const char *const values[VALUES] = {NULL, "", "1", "two", "three times", "a\0b", "zz"};
static const size_t sizes[VALUES] = {0, 0, 1, 3, 11, 3, 2};

static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % limit);
}

static void compare_name(const struct held *held, size_t name)
{
    struct frame_key key = frame_key(names[name]);
    struct frame_found found = {0};
    int wanted = held->model.values[name];

    EXPECT_EQUAL(frame_find(held->frame, &key, &found), wanted != 0);
    if (wanted == 0 || !found.text)
        return;
    EXPECT_EQUAL(found.size, sizes[wanted]);
    EXPECT(memcmp(found.text, values[wanted], sizes[wanted] + 1) == 0);
}

static int cross_off(const char *name, const char *value, size_t size, void *arg)
{
    struct model *left = arg;

    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0) {
            int wanted = left->values[i];
            EXPECT(wanted != 0 && size == sizes[wanted] && memcmp(value, values[wanted], size) == 0);
            left->values[i] = 0;
            return 0;
        }
    EXPECT_TEXT(name, "a known name");
    return 0;
}

static void compare(const struct held *held)
{
    struct model left = held->model;

    for (size_t name = 0; name < NAMES; name++)
        compare_name(held, name);
    EXPECT_EQUAL(frame_each(held->frame, cross_off, &left), 0);
    for (size_t name = 0; name < NAMES; name++)
        EXPECT_EQUAL(left.values[name], 0);
}

static void change(struct held *held)
{
    unsigned name = random_below(NAMES), value = random_below(VALUES);
    struct frame_key key = frame_key(names[name]);
    struct frame_change wanted = {
        .kind = value ? FRAME_TEXT : FRAME_ABSENT, .data = values[value], .size = sizes[value]};

    EXPECT_EQUAL(frame_change(&held->frame, &key, &wanted), 0);
    held->model.values[name] = (int)value;
}

static struct held root_or_seeded(void)
{
    struct held held = {0};
    struct frame_entry entries[SEEDED];

    if (random_below(3) == 0)
        return held;
    for (size_t i = 0; i < SEEDED; i++) {
        size_t name = i * 3;
        int value = 1 + (int)random_below(VALUES - 1);

        entries[i] = (struct frame_entry){.name = names[name], .value = values[value], .size = sizes[value]};
        held.model.values[name] = value;
    }
    EXPECT_EQUAL(frame_new(entries, SEEDED, NULL, NULL, &held.frame), 0);
    return held;
}

static void step(struct held all[static HELD])
{
    struct held *one = &all[random_below(HELD)], *other = &all[random_below(HELD)];
    unsigned dice = random_below(100);

    if (dice < 80) {
        change(one);
    } else if (dice < 95) {
        struct weft_context *captured = weft_context_ref(other->frame);
        (void)weft_context_unref(one->frame);
        *one = *other;
        one->frame = captured;
    } else {
        (void)weft_context_unref(one->frame);
        *one = root_or_seeded();
    }
}

static void frames_show_what_a_naive_model_shows(void **state)
{
    static const uint64_t seeds[] = {1, 20, 300, 4711};
    struct held all[HELD] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++) {
        random_state = seeds[i] * UINT64_C(0x9e3779b97f4a7c15);
        for (int steps = 0; steps < STEPS / 4; steps++) {
            step(all);
            if (steps % 16 == 0)
                compare(&all[random_below(HELD)]);
        }
        for (size_t held = 0; held < HELD; held++)
            compare(&all[held]);
        if (atomic_load(&expect_failures) > 0)
            print_error("with the random seed %" PRIu64 "\n", seeds[i]);
    }
    for (size_t held = 0; held < HELD; held++)
        (void)weft_context_unref(all[held].frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {EXPECT_TEST(frames_show_what_a_naive_model_shows)};

    return cmocka_run_group_tests_name("frame_model", tests, NULL, NULL);
}
