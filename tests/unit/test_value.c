/* Values: what may be set and how it is read. */
#include <stdlib.h>

#include "tests/support/expect.h"

/* ---- Names and values ---- */

static int set_names(void *arg)
{
    static const char *const bad[] = {"", " ", "a b", "a=b", "a/b", "a\n", "ä", "a\x80", "weft.", "weft.id", NULL};
    static const char *const good[] = {"a", "A", "0", "_", "-", ".", "weft", "weft_id", "x.weft.id", "Weft.id"};
    char name[130] = {0};

    (void)arg;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        EXPECT_EQUAL(weft_set(bad[i], "x"), -EINVAL);
        EXPECT_EQUAL(weft_unset(bad[i]), -EINVAL);
        EXPECT_EQUAL(weft_set_pointer(bad[i], name, free), -EINVAL);
        EXPECT_EQUAL(weft_run_with(bad[i], "x", set_names, NULL), -EINVAL);
        EXPECT_TEXT(weft_get(bad[i]), NULL);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        EXPECT_EQUAL(weft_set(good[i], good[i]), 0);
        EXPECT_TEXT(weft_get(good[i]), good[i]);
    }
    memset(name, 'n', 128);
    EXPECT_EQUAL(weft_set(name, "x"), 0);
    memset(name, 'n', 129);
    EXPECT_EQUAL(weft_set(name, "x"), -EINVAL);
    return 0;
}

static void names_are_checked(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_run(set_names, NULL), 0);
}

static int set_values(void *arg)
{
    size_t size = 99;

    (void)arg;
    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_set_bytes("b",
                                "1\0"
                                "2",
                                3),
                 0);
    EXPECT_TEXT(weft_get("b"), "1");
    EXPECT(memcmp(weft_get_bytes("b", &size),
                  "1\0"
                  "2",
                  4) == 0);
    EXPECT_EQUAL(size, 3);
    EXPECT_EQUAL(weft_set("c", ""), 0);
    EXPECT_TEXT(weft_get("c"), "");
    EXPECT(weft_get_bytes("c", NULL) != NULL);
    EXPECT(weft_get_bytes("none", &size) == NULL);
    EXPECT_EQUAL(size, 3);

    EXPECT_EQUAL(weft_set("a", NULL), 0);
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(weft_set_bytes("c", NULL, 0), 0);
    EXPECT_TEXT(weft_get("c"), NULL);
    EXPECT_EQUAL(weft_set_bytes("b", NULL, 3), 0);
    EXPECT_TEXT(weft_get("b"), NULL);
    return 0;
}

static void values_are_bytes_and_a_null_value_unsets(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_run(set_values, NULL), 0);
}

static int copy_is_taken(void *arg)
{
    char name[] = "name", value[] = "value";

    (void)arg;
    EXPECT_EQUAL(weft_set(name, value), 0);
    name[0] = value[0] = '#';
    EXPECT_TEXT(weft_get("name"), "value");
    EXPECT_EQUAL(weft_set("name", weft_get("name")), 0); /* from the very value that goes */
    EXPECT_TEXT(weft_get("name"), "value");
    return 0;
}

static void names_and_values_are_copied(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_run(copy_is_taken, NULL), 0);
}

/* ---- Walking ---- */

static int stop_at_second(const char *name, const char *value, size_t size, void *arg)
{
    int *calls = arg;

    EXPECT_EQUAL(size, strlen(value));
    EXPECT_EQUAL(weft_unset(name), 0);
    EXPECT_EQUAL(weft_set("new", "value"), 0);
    return ++*calls == 2 ? 42 : 0;
}

static int walk(void *arg)
{
    int calls = 0;

    EXPECT_EQUAL(weft_set("a", "1"), 0);
    EXPECT_EQUAL(weft_set("b", "2"), 0);
    EXPECT_EQUAL(weft_set("c", "3"), 0);
    EXPECT_EQUAL(weft_set_pointer("p", arg, NULL), 0);
    EXPECT_EQUAL(weft_unset("b"), 0);
    EXPECT_EQUAL(weft_each(stop_at_second, &calls), 42);
    EXPECT_EQUAL(calls, 2);
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_TEXT(weft_get("c"), NULL);
    EXPECT_TEXT(weft_get("p"), NULL);
    EXPECT(weft_get_pointer("p") == arg);
    EXPECT(weft_get_pointer("new") == NULL);
    EXPECT_TEXT(weft_get("new"), "value");
    return 0;
}

static void a_visitor_may_change_what_it_walks_over(void **state)
{
    (void)state;
    EXPECT_EQUAL(weft_each(stop_at_second, NULL), 0); /* the root has nothing to visit */
    EXPECT_EQUAL(weft_run(walk, &state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(names_are_checked),
        EXPECT_TEST(values_are_bytes_and_a_null_value_unsets),
        EXPECT_TEST(names_and_values_are_copied),
        EXPECT_TEST(a_visitor_may_change_what_it_walks_over),
    };

    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
