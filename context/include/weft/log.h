/*
 * The log. A line carries the context it was written in: the job's ID and the rest are read by the logger, never
 * passed to it. A message is data: control characters, escapes and line feeds in it cannot forge another line.
 *
 * None of these functions waits or fails; they may be called from any thread and at any time. errno is kept.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/api.h>

WEFT_BEGIN_DECLS

enum weft_level { WEFT_DEBUG, WEFT_INFO, WEFT_WARN, WEFT_ERROR };

enum weft_field_kind { WEFT_FIELD_TEXT, WEFT_FIELD_INTEGER, WEFT_FIELD_REAL };

/* A field of one line, shown under `data`. */
struct weft_field {
    const char *name;
    enum weft_field_kind kind;
    union {
        const char *text;
        int64_t integer;
        double real;
    };
};

#ifdef __cplusplus

/* C++ has no compound literals, and names no member of a union in an initialiser before C++20. */
static inline struct weft_field weft_field_text_(const char *name, const char *value)
{
    struct weft_field field;

    field.name = name;
    field.kind = WEFT_FIELD_TEXT;
    field.text = value;
    return field;
}

static inline struct weft_field weft_field_integer_(const char *name, int64_t value)
{
    struct weft_field field;

    field.name = name;
    field.kind = WEFT_FIELD_INTEGER;
    field.integer = value;
    return field;
}

static inline struct weft_field weft_field_real_(const char *name, double value)
{
    struct weft_field field;

    field.name = name;
    field.kind = WEFT_FIELD_REAL;
    field.real = value;
    return field;
}

#define WEFT_TEXT(name_, value_) (weft_field_text_((name_), (value_)))
#define WEFT_INT(name_, value_)  (weft_field_integer_((name_), static_cast<int64_t>(value_)))
#define WEFT_REAL(name_, value_) (weft_field_real_((name_), (value_)))

#else

#define WEFT_TEXT(name_, value_) ((struct weft_field){.name = (name_), .kind = WEFT_FIELD_TEXT, .text = (value_)})
#define WEFT_INT(name_, value_)                                                                                        \
    ((struct weft_field){.name = (name_), .kind = WEFT_FIELD_INTEGER, .integer = (int64_t)(value_)})
#define WEFT_REAL(name_, value_) ((struct weft_field){.name = (name_), .kind = WEFT_FIELD_REAL, .real = (value_)})

#endif

/* Writes a line; `format` is printf's. Messages longer than 8 KiB are cut, and say so. */
WEFT_API void weft_log(enum weft_level level, const char *format, ...) WEFT_PRINTF(2, 3);
WEFT_API void weft_logv(enum weft_level level, const char *format, va_list args) WEFT_PRINTF(2, 0);

/* Writes a line with fields of its own. `message` is taken as it is, not as a format. */
WEFT_API void weft_log_fields(enum weft_level level, const char *message, const struct weft_field *fields,
                              size_t count);

/* weft_log_with(WEFT_INFO, "order stored", WEFT_TEXT("order", id), WEFT_INT("lines", n)); */
#ifdef __cplusplus
#define weft_log_with(level_, message_, ...) (weft_log_with_((level_), (message_), __VA_ARGS__))
#else
#define weft_log_with(level_, message_, ...)                                                                           \
    weft_log_fields((level_), (message_), (const struct weft_field[]){__VA_ARGS__},                                    \
                    sizeof((const struct weft_field[]){__VA_ARGS__}) / sizeof(struct weft_field))
#endif

/* For programs that use the context library by itself, whose lines go to stderr: has each begin with the context's
 * value called `name`, which tells what the line is about; NULL: none. The string must stay valid. To be called before
 * other threads log. Under weftd, which sees to its log itself, it does nothing. */
WEFT_API void weft_log_label(const char *name);

#define weft_debug(...) weft_log(WEFT_DEBUG, __VA_ARGS__)
#define weft_info(...)  weft_log(WEFT_INFO, __VA_ARGS__)
#define weft_warn(...)  weft_log(WEFT_WARN, __VA_ARGS__)
#define weft_error(...) weft_log(WEFT_ERROR, __VA_ARGS__)

WEFT_END_DECLS

#ifdef __cplusplus
/* For weft_log_with(). */
template <typename... Fields> inline void weft_log_with_(enum weft_level level, const char *message, Fields... fields)
{
    const struct weft_field all[] = {fields...};

    weft_log_fields(level, message, all, sizeof...(Fields));
}
#endif
