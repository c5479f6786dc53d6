/*
 * What the fuzz targets share: how they say that something is wrong, and what holds for every text that is shown to
 * people. Nothing here uses the code under test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What libFuzzer calls: once before everything else, and once for each input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Ends the run, so that libFuzzer keeps the input. The rest is printf's: the sentence that says what is wrong. */
#define REQUIRE(condition_, ...)                                                                                       \
    do {                                                                                                               \
        if (!(condition_)) {                                                                                           \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* For what is done with every byte: libFuzzer would learn nothing from watching it, and take most of the time. */
#define FUZZ_UNWATCHED __attribute__((no_sanitize("coverage")))

/* A copy in memory of exactly its size, so that the address sanitizer sees every byte read too many. */
static inline char *fuzz_copy(const void *bytes, size_t size)
{
    char *copy = malloc(size);

    REQUIRE(copy, "no memory");
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* The same with a NUL behind it. */
static inline char *fuzz_copy_text(const void *bytes, size_t size)
{
    char *copy = malloc(size + 1);

    REQUIRE(copy, "no memory");
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

/* Reads a character by the definition of UTF-8 and gives its length; 0: there is none. */
FUZZ_UNWATCHED static inline size_t fuzz_decode(const char *text, size_t size, uint32_t *ret_character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = 1;
    uint32_t character = bytes[0];

    if (bytes[0] >= 0x80) {
        length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
        if (bytes[0] < 0xc0 || bytes[0] > 0xf7 || length > size)
            return 0;
        character = bytes[0] & (0xffu >> (length + 1));
    }
    for (size_t i = 1; i < length; i++) {
        if (bytes[i] >> 6 != 2)
            return 0;
        character = character << 6 | (bytes[i] & 0x3fu);
    }
    if (character < least[length] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
        return 0;
    *ret_character = character;
    return length;
}

FUZZ_UNWATCHED static inline bool fuzz_is_utf8(const char *text, size_t size)
{
    uint32_t character;

    for (size_t at = 0, length; at < size; at += length) {
        length = fuzz_decode(text + at, size - at, &character);
        if (length == 0)
            return false;
    }
    return true;
}

/* That a text is valid UTF-8 without control characters, and so one line that does nothing to a terminal, and without
 * those that change the direction in which the rest of it is shown. */
FUZZ_UNWATCHED static inline void fuzz_check_line(const char *text, size_t size)
{
    uint32_t character = 0;

    for (size_t at = 0, length; at < size; at += length) {
        length = fuzz_decode(text + at, size - at, &character);
        REQUIRE(length > 0, "not UTF-8 at byte %zu: %.*s", at, (int)size, text);
        REQUIRE(character >= 0x20 && (character < 0x7f || character > 0x9f), "the control character %x at byte %zu",
                (unsigned)character, at);
        REQUIRE((character < 0x2028 || character > 0x202e) && (character < 0x2066 || character > 0x2069),
                "a separator of lines or a change of direction at byte %zu", at);
    }
}
