/* Trace parents: the vectors of W3C's own test suite, and what a stranger may send instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/message/traceparent.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"

/* Parses a copy without a NUL, so that a sanitizer sees every byte read too many. */
static int parse(const char *text, size_t size, struct traceparent *ret_traceparent)
{
    char *copy = malloc(size ? size : 1);
    struct traceparent parsed;
    int r;

    assert_non_null(copy);
    memcpy(copy, text, size);
    r = traceparent_parse(copy, size, &parsed);
    if (r == 0 && ret_traceparent) {
        ret_traceparent->trace_id = text + (parsed.trace_id - copy);
        ret_traceparent->span_id = text + (parsed.span_id - copy);
        ret_traceparent->flags = text + (parsed.flags - copy);
    }
    free(copy);
    return r;
}

static void parts_of_a_valid_traceparent_are_found(void **state)
{
    static const char text[] = "00-" TRACE "-" SPAN "-01";
    struct traceparent parsed;

    (void)state;
    assert_int_equal(parse(text, sizeof(text) - 1, &parsed), 0);
    assert_memory_equal(parsed.trace_id, TRACE, TRACEPARENT_TRACE_ID_SIZE);
    assert_memory_equal(parsed.span_id, SPAN, TRACEPARENT_SPAN_ID_SIZE);
    assert_memory_equal(parsed.flags, "01", TRACEPARENT_FLAGS_SIZE);
}

static void valid_forms_are_accepted(void **state)
{
    static const char *const valid[] = {
        "00-" TRACE "-" SPAN "-00",
        "00-" TRACE "-" SPAN "-ff",
        "00-00000000000000000000000000000001-0000000000000001-01",
        "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01",
        "01-" TRACE "-" SPAN "-01",
        "cc-" TRACE "-" SPAN "-01",
        "cc-" TRACE "-" SPAN "-01-",
        "cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like",
        "fe-" TRACE "-" SPAN "-01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        if (parse(valid[i], strlen(valid[i]), NULL) != 0)
            fail_msg("refused: %s", valid[i]);
    }
}

static void invalid_forms_are_refused(void **state)
{
    static const char *const invalid[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN "-",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-01.",
        "00-" TRACE "-" SPAN "-01 ",
        " 00-" TRACE "-" SPAN "-01",
        "ff-" TRACE "-" SPAN "-01",
        "ff-" TRACE "-" SPAN "-01-more",
        "cc-" TRACE "-" SPAN "-01.what-the-future-will-not-be-like",
        "cc-" TRACE "-" SPAN "-01x",
        ".0-" TRACE "-" SPAN "-01",
        "0.-" TRACE "-" SPAN "-01",
        "0A-" TRACE "-" SPAN "-01",
        "0-" TRACE "-" SPAN "-01x",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916cd43dd8448eb211c80319c-" SPAN "-01",
        "00-.af7651916cd43dd8448eb211c80319c-" SPAN "-01",
        "00-0af7651916cd43dd8448eb211c80319-" SPAN "-001",
        "00-0af7651916cd43dd8448eb211c80319g-" SPAN "-01",
        "00-" TRACE "-B7ad6b7169203331-01",
        "00-" TRACE "-b7ad6b716920333.-01",
        "00-" TRACE "-" SPAN "-0A",
        "00-" TRACE "-" SPAN "-.0",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        if (parse(invalid[i], strlen(invalid[i]), NULL) != -EINVAL)
            fail_msg("accepted: %s", invalid[i]);
    }
}

static void nul_and_high_bytes_are_refused(void **state)
{
    static const char positions[] = "00-" TRACE "-" SPAN "-01";
    char text[sizeof(positions)];

    (void)state;
    for (size_t i = 0; i < sizeof(positions) - 1; i++) {
        memcpy(text, positions, sizeof(positions));
        text[i] = '\0';
        assert_int_equal(parse(text, sizeof(positions) - 1, NULL), -EINVAL);
        text[i] = '\xff';
        assert_int_equal(parse(text, sizeof(positions) - 1, NULL), -EINVAL);
    }
}

static void result_is_untouched_by_an_error(void **state)
{
    struct traceparent parsed = {.trace_id = "kept"};

    (void)state;
    assert_int_equal(traceparent_parse("nonsense", 8, &parsed), -EINVAL);
    assert_string_equal(parsed.trace_id, "kept");
}

static void tracestate_is_up_to_512_bytes_of_printable_ascii(void **state)
{
    char text[513];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_true(tracestate_is_valid("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", 39));
    assert_true(tracestate_is_valid(text, 512));
    assert_false(tracestate_is_valid(text, 513));
    assert_false(tracestate_is_valid(text, 0));
    assert_false(tracestate_is_valid("a=1\n", 4));
    assert_false(tracestate_is_valid("a=1\0b", 5));
    assert_false(tracestate_is_valid("a=\x7f", 3));
    assert_false(tracestate_is_valid("a=\xc3\xbc", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_valid_traceparent_are_found),
        cmocka_unit_test(valid_forms_are_accepted),
        cmocka_unit_test(invalid_forms_are_refused),
        cmocka_unit_test(nul_and_high_bytes_are_refused),
        cmocka_unit_test(result_is_untouched_by_an_error),
        cmocka_unit_test(tracestate_is_up_to_512_bytes_of_printable_ascii),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
