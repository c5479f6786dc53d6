/*
 * What is to be seen at several looks in a row before it is believed: since when it has been.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kept in lists, which are NULL at first. */
struct sighting {
    struct sighting *next;
    int64_t since_ms; /* steady time of the first look at which it was seen */
    bool again;       /* at the look that is being read */
    bool noted;       /* for whoever looks: all has been done about it */
    char name[];
};

/* NULL: it is not in the list. */
struct sighting *sighting_find(struct sighting *list, const char *name);

/* Finds it in the list, or adds it: it has been seen. NULL: there is no memory. */
struct sighting *sighting_note(struct sighting **list, const char *name, int64_t now_ms);

/* A look is over: frees what was not seen at it, and so, where it is called twice in a row, all. Gives how many are
 * left. */
size_t sighting_sift(struct sighting **list);
