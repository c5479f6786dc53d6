#include "context/async/async_parent.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/async/code_address.h"

/* How many links are kept of a chain that has become too long: fewer than fit, so that it is not copied for each. */
enum { LINKS_KEPT = ASYNC_PARENT_DEPTH_MAX / 2 };

struct async_parent *async_parent_ref(struct async_parent *async_parent)
{
    if (async_parent)
        reference_take(&async_parent->references);
    return async_parent;
}

struct async_parent *async_parent_unref(struct async_parent *async_parent)
{
    while (async_parent && reference_drop(&async_parent->references)) {
        struct async_parent *parent = async_parent->parent;

        free(async_parent);
        async_parent = parent;
    }
    return NULL;
}

/* Copies at most `links` of a chain. */
static struct async_parent *copy_links(const struct async_parent *async_parent, unsigned links)
{
    struct async_parent *first = NULL, **place = &first;

    for (unsigned left = links; async_parent && left > 0; left--, async_parent = async_parent->parent) {
        struct async_parent *copy = malloc(sizeof(*copy));

        if (!copy)
            break;
        *copy = (struct async_parent){.references = 1, .kind = async_parent->kind, .place = async_parent->place};
        memcpy(copy->name, async_parent->name, sizeof(copy->name));
        *place = copy;
        place = &copy->parent;
    }
    unsigned depth = 0;
    for (const struct async_parent *link = first; link; link = link->parent)
        depth++;
    for (struct async_parent *link = first; link; link = link->parent)
        link->depth = depth--;
    return first;
}

static bool is_the_same_again(const struct async_parent *async_parent, const struct weft_operation *info)
{
    if (async_parent->place != info->place || async_parent->kind != info->kind)
        return false;
    return info->name ? strncmp(async_parent->name, info->name, ASYNC_PARENT_NAME_SIZE - 1) == 0 : !*async_parent->name;
}

struct async_parent *async_parent_new(const struct weft_operation *info, struct async_parent *parent)
{
    if (parent && is_the_same_again(parent, info))
        return async_parent_ref(parent);

    struct async_parent *async_parent = malloc(sizeof(*async_parent));
    if (!async_parent)
        return NULL;
    *async_parent = (struct async_parent){
        .parent = parent && parent->depth >= ASYNC_PARENT_DEPTH_MAX ? copy_links(parent, LINKS_KEPT)
                                                                    : async_parent_ref(parent),
        .references = 1,
        .kind = info->kind,
        .place = info->place,
    };
    async_parent->depth = 1 + (async_parent->parent ? async_parent->parent->depth : 0);
    if (info->name)
        (void)snprintf(async_parent->name, sizeof(async_parent->name), "%s", info->name);
    return async_parent;
}

size_t async_parent_write_one(const char *kind, const char *name, const void *place, const char *before, char *buffer,
                              size_t size, size_t used)
{
    char words[CODE_ADDRESS_SIZE] = "";
    bool fits = used < size;

    if (place)
        code_address_describe(place, words);
    return used + (size_t)snprintf(fits ? buffer + used : NULL, fits ? size - used : 0, "%s%s%s%s%s%s", before, kind,
                                   name && *name ? " " : "", name ? name : "", place ? " at " : "", words);
}

size_t async_parent_write(const struct async_parent *async_parent, char *buffer, size_t size, size_t used)
{
    for (; async_parent; async_parent = async_parent->parent) {
        used = async_parent_write_one(async_parent->kind, async_parent->name, async_parent->place, ", started by ",
                                      buffer, size, used);
    }
    return used;
}
