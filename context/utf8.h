/*
 * UTF-8 from people who cannot be trusted to write UTF-8.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What utf8_decode() reads where there is no character. */
#define UTF8_INVALID UINT32_MAX

/* Reads the first character of `text` (`size` bytes, at least one) and gives its length in bytes. Where none begins
 * there (a stray or missing continuation byte, an overlong form, a surrogate, beyond U+10FFFF), `*ret_character` is
 * UTF8_INVALID, and the length is that of the bytes which one U+FFFD stands for, as Unicode recommends. */
size_t utf8_decode(const char *text, size_t size, uint32_t *ret_character);

/* The most bytes of `text` (`size` bytes), up to `limit`, that do not end inside a character. */
size_t utf8_cut(const char *text, size_t size, size_t limit);
