#include "context/name.h"

#include <stdint.h>

enum {
    IN_NAME = 1,
    IN_JOB_ID = 2,
    IN_BOTH = IN_NAME | IN_JOB_ID,
};

/* The sets that a byte belongs to. */
static const uint8_t alphabets[256] = {
    ['0' ... '9'] = IN_BOTH, ['A' ... 'Z'] = IN_BOTH, ['a' ... 'z'] = IN_BOTH, ['.'] = IN_BOTH,
    ['_'] = IN_BOTH,         ['-'] = IN_BOTH,         [':'] = IN_JOB_ID,
};

static bool is_made_of(unsigned set, const char *bytes, size_t size)
{
    unsigned common = set;

    if (size < 1 || size > NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        common &= alphabets[(unsigned char)bytes[i]];
    return common != 0;
}

bool name_is_valid(const char *bytes, size_t size)
{
    return is_made_of(IN_NAME, bytes, size);
}

bool name_is_job_id(const char *bytes, size_t size)
{
    return is_made_of(IN_JOB_ID, bytes, size);
}

char name_as_variable(char character)
{
    if (character >= 'a' && character <= 'z')
        return (char)(character - 'a' + 'A');
    return (character >= 'A' && character <= 'Z') || (character >= '0' && character <= '9') ? character : '_';
}
