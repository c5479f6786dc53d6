/*
 * W3C's traceparent and tracestate, of any bytes, against a reference that is made of scanf() and strspn().
 */
#include <errno.h>

#include "queue/message/traceparent.h"
#include "tests/fuzz/support.h"

#define KNOWN_SIZE (2 + 1 + 32 + 1 + 16 + 1 + 2)

static bool is_traceparent(const char *text, size_t size)
{
    char version[3], trace[33], span[17], flags[3];
    int end = 0;

    (void)sscanf(text, "%2[0-9a-f]-%32[0-9a-f]-%16[0-9a-f]-%2[0-9a-f]%n", version, trace, span, flags, &end);
    if (end != KNOWN_SIZE || strcmp(version, "ff") == 0 || !trace[strspn(trace, "0")] || !span[strspn(span, "0")])
        return false;
    return size == KNOWN_SIZE || (strcmp(version, "00") != 0 && text[KNOWN_SIZE] == '-');
}

static void check_part(const char *part, const char *text, size_t at, size_t size)
{
    REQUIRE(part == text + at, "a part of %zu digits begins elsewhere", size);
    for (size_t i = 0; i < size; i++)
        REQUIRE(strchr("0123456789abcdef", part[i]) && part[i], "no hex digit: %c", part[i]);
}

static void check_traceparent(const char *bytes, const char *text, size_t size)
{
    struct traceparent parts = {0};
    int r = traceparent_parse(bytes, size, &parts);

    REQUIRE(r == (is_traceparent(text, size) ? 0 : -EINVAL), "%d for \"%s\"", r, text);
    if (r < 0) {
        REQUIRE(!parts.trace_id && !parts.span_id && !parts.flags, "an error, and a result");
        return;
    }
    check_part(parts.trace_id, bytes, 3, TRACEPARENT_TRACE_ID_SIZE);
    check_part(parts.span_id, bytes, 36, TRACEPARENT_SPAN_ID_SIZE);
    check_part(parts.flags, bytes, 53, TRACEPARENT_FLAGS_SIZE);
}

static void check_tracestate(const char *bytes, const char *text, size_t size)
{
    bool printable = strspn(text, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
                                  "abcdefghijklmnopqrstuvwxyz{|}~") == size;

    REQUIRE(tracestate_is_valid(bytes, size) == (printable && size >= 1 && size <= 512), "tracestate \"%s\"", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *copy = fuzz_copy(bytes, size);
    char *text = fuzz_copy_text(bytes, size);

    check_traceparent(copy, text, size);
    check_tracestate(copy, text, size);
    free(copy);
    free(text);
    return 0;
}
