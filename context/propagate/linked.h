/*
 * What has the wrappers linked. A linker takes a file from an archive for what is missing, and functions that a library
 * before it in the command line has, be it the wrapped one or a sanitizer's, are not. So each file that defines such
 * functions has a name of its own as well, and whoever refers to that brings it in.
 */
#pragma once

#define PROPAGATE_FILES(do_)                                                                                           \
    do_(bufferevents) do_(buffers) do_(cleanups) do_(events) do_(filters) do_(http_connections) do_(libraries)         \
        do_(listeners) do_(locales) do_(lookups) do_(loops) do_(processes) do_(redis) do_(requests) do_(threads)

/* In each of the files, once. */
#define PROPAGATE_LINKED(name_) const char propagate_linked_##name_[] = #name_

#define PROPAGATE_DECLARE_(name_) extern const char propagate_linked_##name_[];
PROPAGATE_FILES(PROPAGATE_DECLARE_)

/* Whoever refers to this has all of the wrappers linked. */
extern const char *const propagate_anchor[];
