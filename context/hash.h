/*
 * Hashes for tables and names. They are no protection from who chooses what is hashed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, in its two sizes: adds bytes to the hash of those before, which is HASH_32 or HASH_64 before the first. The
 * values are the same in every process and every version: some are part of names in Redis. */
#define HASH_32 UINT32_C(2166136261)
#define HASH_64 UINT64_C(14695981039346656037)

static inline uint32_t hash_add_32(uint32_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT32_C(16777619);
    return hash;
}

static inline uint64_t hash_add_64(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(1099511628211);
    return hash;
}

/* A place for an address in a table of 1 << `bits` places. */
static inline size_t hash_pointer(const void *pointer, unsigned bits)
{
    return ((uintptr_t)pointer * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits);
}
