/*
 * Small macros that the whole project shares.
 */
#pragma once

/* The result must be looked at. Public headers have WEFT_MUST_CHECK for it. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* How many elements an array has. Given a pointer, it does not compile. */
#define ELEMENTS(array_)                                                                                               \
    (sizeof(array_) / sizeof((array_)[0]) +                                                                            \
     0 * sizeof(struct {                                                                                               \
         _Static_assert(!__builtin_types_compatible_p(__typeof__(array_), __typeof__(&(array_)[0])),                   \
                        "a pointer has no elements");                                                                  \
         int unused;                                                                                                   \
     }))

/* The first multiple of a unit that is not smaller. */
#define ROUND_UP(size_, unit_) (((size_) + (unit_)-1) / (unit_) * (unit_))
