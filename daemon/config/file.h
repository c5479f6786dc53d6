/*
 * Small files, read whole.
 */
#pragma once

#include <stddef.h>

#include "context/macros.h"

/* The contents of a file of at most `max` bytes, NUL-terminated, the caller's to free. May wait for the disk. Errors:
 * -EFBIG, -ENOMEM, and those of open() and read(). */
int config_file_read(const char *path, size_t max, char **ret_text, size_t *ret_size) MUST_CHECK;
