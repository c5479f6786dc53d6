/*
 * The two alphabets of names: types and metadata are called [A-Za-z0-9._-]{1,128}, job IDs [A-Za-z0-9._:-]{1,128}.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define NAME_SIZE_MAX 128

/* What the names of weft's own values and fields begin with, and no others. */
#define NAME_OWN_PREFIX "weft."

/* What a name is made of, for sentences. */
#define NAME_ALPHABET        "1 to 128 of the characters A-Z a-z 0-9 . _ -"
#define NAME_JOB_ID_ALPHABET "1 to 128 of the characters A-Z a-z 0-9 . _ : -"

/* Whether `size` bytes, which may be anything, are the name of a type or of a metadata field. */
bool name_is_valid(const char *bytes, size_t size);

/* Whether `size` bytes, which may be anything, are a job ID. */
bool name_is_job_id(const char *bytes, size_t size);

/* Whether a name of `size` bytes is one of weft's own. */
static inline bool name_is_own(const char *name, size_t size)
{
    return size >= sizeof(NAME_OWN_PREFIX) - 1 && memcmp(name, NAME_OWN_PREFIX, sizeof(NAME_OWN_PREFIX) - 1) == 0;
}

/* The character as it stands in the names of environment variables and of the journal's fields, which are made of A-Z,
 * 0-9 and _. */
char name_as_variable(char character);
