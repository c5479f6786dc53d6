/*
 * Allocations that fail when they are told to. For a test program that is linked with weft_failing_memory(), which has
 * weft's calls, and not the libraries', come here.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many more succeed, and then all fail; negative: all succeed. */
static int allocations_left = -1;

/* After one that fails, all succeed. */
static bool only_one_fails;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
int __real_vasprintf(char **ret_text, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
int __wrap_vasprintf(char **ret_text, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
int __wrap_asprintf(char **ret_text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fails(void)
{
    if (allocations_left != 0) {
        if (allocations_left > 0)
            allocations_left--;
        return false;
    }
    if (only_one_fails)
        allocations_left = -1;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails() ? NULL : __real_strndup(text, size);
}

/* What glibc leaves in `*ret_text` on failure is undefined; this is the worst of it. */
int __wrap_vasprintf(char **ret_text, const char *format, va_list args)
{
    if (!fails())
        return __real_vasprintf(ret_text, format, args);
    *ret_text = (char *)UINTPTR_MAX;
    return -1;
}

int __wrap_asprintf(char **ret_text, const char *format, ...)
{
    va_list args;
    int size;

    va_start(args, format);
    size = __wrap_vasprintf(ret_text, format, args);
    va_end(args);
    return size;
}
