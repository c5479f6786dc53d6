/*
 * From a member to the record that it is part of.
 */
#pragma once

#include <stddef.h>

/* The record of type `type_` (which may be const) whose member `member_` is what `pointer_` points to. That it is of
 * the member's type is checked. */
#define container_of(pointer_, type_, member_)                                                                         \
    ((type_ *)((const char *)(pointer_)-offsetof(type_, member_) +                                                     \
               0 * sizeof(struct {                                                                                     \
                   _Static_assert(                                                                                     \
                       __builtin_types_compatible_p(__typeof__(*(pointer_)), __typeof__(((type_ *)0)->member_)),       \
                       "a pointer to something else");                                                                 \
                   int unused;                                                                                         \
               })))
