#include "queue/message/traceparent.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TRACESTATE_SIZE_MAX 512

/* 00-TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT-SSSSSSSSSSSSSSSS-FF */
enum {
    VERSION_SIZE = 2,
    TRACE_ID_AT = VERSION_SIZE + 1,
    SPAN_ID_AT = TRACE_ID_AT + TRACEPARENT_TRACE_ID_SIZE + 1,
    FLAGS_AT = SPAN_ID_AT + TRACEPARENT_SPAN_ID_SIZE + 1,
    KNOWN_SIZE = FLAGS_AT + TRACEPARENT_FLAGS_SIZE,
};

static bool is_hex(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    }
    return true;
}

static bool is_zero(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '0')
            return false;
    }
    return true;
}

static bool version_allows_size(const char *text, size_t size)
{
    if (memcmp(text, "ff", VERSION_SIZE) == 0)
        return false;
    if (size == KNOWN_SIZE)
        return true;
    /* A later version may add parts at the end, but 00 is known to have none. */
    return memcmp(text, "00", VERSION_SIZE) != 0 && text[KNOWN_SIZE] == '-';
}

int traceparent_parse(const char *text, size_t size, struct traceparent *ret_traceparent)
{
    assert(text || size == 0);
    if (size < KNOWN_SIZE || !version_allows_size(text, size))
        return -EINVAL;
    if (text[TRACE_ID_AT - 1] != '-' || text[SPAN_ID_AT - 1] != '-' || text[FLAGS_AT - 1] != '-')
        return -EINVAL;
    if (!is_hex(text, VERSION_SIZE) || !is_hex(text + TRACE_ID_AT, TRACEPARENT_TRACE_ID_SIZE) ||
        !is_hex(text + SPAN_ID_AT, TRACEPARENT_SPAN_ID_SIZE) || !is_hex(text + FLAGS_AT, TRACEPARENT_FLAGS_SIZE))
        return -EINVAL;
    if (is_zero(text + TRACE_ID_AT, TRACEPARENT_TRACE_ID_SIZE) || is_zero(text + SPAN_ID_AT, TRACEPARENT_SPAN_ID_SIZE))
        return -EINVAL;

    *ret_traceparent = (struct traceparent){
        .trace_id = text + TRACE_ID_AT,
        .span_id = text + SPAN_ID_AT,
        .flags = text + FLAGS_AT,
    };
    return 0;
}

bool tracestate_is_valid(const char *text, size_t size)
{
    if (size == 0 || size > TRACESTATE_SIZE_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return true;
}
