/*
 * Code addresses, in words.
 */
#pragma once

#include <stddef.h>

enum { CODE_ADDRESS_SIZE = 160 };

/* Writes "load_profile (profile.c:17)" where a resolver is installed and knows it, else what the dynamic linker knows:
 * "load_profile" or "profile.so+0x1a2b". `buffer` has CODE_ADDRESS_SIZE bytes. */
void code_address_describe(const void *address, char *buffer);

/* Installs a resolver (NULL: none) that knows more than the dynamic linker: writes the words and gives 0, or gives a
 * negative errno. What it says is kept, so that it is asked about a place once. */
void code_address_resolve_with(int (*resolve)(const void *address, char *buffer));
