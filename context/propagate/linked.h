/*
 * Where a sanitizer's library has functions of the same names, the linker is content with those, and leaves the files
 * that define ours out of a program. Whoever refers to these brings them in.
 */
#pragma once

extern const char propagate_processes_linked[];
extern const char propagate_threads_linked[];
