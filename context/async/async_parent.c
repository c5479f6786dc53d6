#include "context/async/async_parent.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/async/code_address.h"

/* How many links are kept of a chain that has become too long: fewer than fit, so that it is not copied for each. */
enum { LINKS_KEPT = ORIGIN_DEPTH_MAX / 2 };

struct origin *origin_ref(struct origin *origin)
{
    if (origin)
        origin->references++;
    return origin;
}

struct origin *origin_unref(struct origin *origin)
{
    while (origin && --origin->references == 0) {
        struct origin *parent = origin->parent;

        free(origin);
        origin = parent;
    }
    return NULL;
}

/* Copies at most `links` of a chain. */
static struct origin *copy_links(const struct origin *origin, unsigned links)
{
    struct origin *first = NULL, **place = &first;

    for (unsigned left = links; origin && left > 0; left--, origin = origin->parent) {
        struct origin *copy = malloc(sizeof(*copy));

        if (!copy)
            break;
        *copy = *origin;
        copy->parent = NULL;
        copy->references = 1;
        *place = copy;
        place = &copy->parent;
    }
    unsigned depth = 0;
    for (const struct origin *link = first; link; link = link->parent)
        depth++;
    for (struct origin *link = first; link; link = link->parent)
        link->depth = depth--;
    return first;
}

struct origin *origin_copy(const struct origin *origin)
{
    return copy_links(origin, ORIGIN_DEPTH_MAX);
}

static bool is_the_same_again(const struct origin *origin, const struct weft_operation *told)
{
    if (origin->place != told->place || origin->kind != told->kind)
        return false;
    return told->name ? strncmp(origin->name, told->name, ORIGIN_NAME_SIZE - 1) == 0 : !*origin->name;
}

struct origin *origin_new(const struct weft_operation *told, struct origin *parent)
{
    if (parent && is_the_same_again(parent, told))
        return origin_ref(parent);

    struct origin *origin = malloc(sizeof(*origin));
    if (!origin)
        return NULL;
    *origin = (struct origin){
        .parent = parent && parent->depth >= ORIGIN_DEPTH_MAX ? copy_links(parent, LINKS_KEPT) : origin_ref(parent),
        .references = 1,
        .kind = told->kind,
        .place = told->place,
    };
    origin->depth = 1 + (origin->parent ? origin->parent->depth : 0);
    if (told->name)
        (void)snprintf(origin->name, sizeof(origin->name), "%s", told->name);
    return origin;
}

size_t origin_write_one(const char *kind, const char *name, const void *place, const char *before, char *buffer,
                        size_t size, size_t used)
{
    char words[PLACE_SIZE] = "";
    bool fits = used < size;

    if (place)
        place_describe(place, words);
    return used + (size_t)snprintf(fits ? buffer + used : NULL, fits ? size - used : 0, "%s%s%s%s%s%s", before, kind,
                                   name && *name ? " " : "", name ? name : "", place ? " at " : "", words);
}

size_t origin_write(const struct origin *origin, char *buffer, size_t size, size_t used)
{
    for (; origin; origin = origin->parent) {
        used = origin_write_one(origin->kind, origin->name, origin->place, ", started by ", buffer, size, used);
    }
    return used;
}
