/*
 * Functions of weft that stand in a backtrace but say nothing about what went wrong. They are in sections of their own,
 * so that they are known by their addresses and may be called anything.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Left out of backtraces. */
#define MACHINERY __attribute__((section("weft_machinery")))

/* Below it all is weft's: backtraces end there. */
#define MACHINERY_BOTTOM __attribute__((section("weft_bottom")))

/* The linker's names for where the sections begin and end. */
extern const char __start_weft_machinery[] __attribute__((weak, visibility("hidden")));
extern const char __stop_weft_machinery[] __attribute__((weak, visibility("hidden")));
extern const char __start_weft_bottom[] __attribute__((weak, visibility("hidden")));
extern const char __stop_weft_bottom[] __attribute__((weak, visibility("hidden")));

static inline bool machinery_has(uintptr_t address)
{
    return address >= (uintptr_t)__start_weft_machinery && address < (uintptr_t)__stop_weft_machinery;
}

static inline bool machinery_bottom_has(uintptr_t address)
{
    return address >= (uintptr_t)__start_weft_bottom && address < (uintptr_t)__stop_weft_bottom;
}
