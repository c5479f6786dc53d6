/*
 * The registry: plugins that were loaded, and their handlers by name.
 */
#pragma once

#include <stddef.h>

#include <weft/weft.h>

struct registry_plugin {
    const struct weft_plugin *plugin;
    char *path;
};

/* Zero-initialised it is empty. */
struct registry {
    struct registry_plugin *plugins;
    size_t count;
};

/* Loads a plugin and adds its handlers. It stays loaded for the life of the process, since contexts and tasks may hold
 * on to its code. On failure `*ret_message` is a sentence for the user, to be freed, and nothing was added. Errors:
 * -ENOENT it cannot be loaded; -ENOEXEC it is not a plugin, or of another ABI; -EINVAL its descriptor is wrong; -EEXIST
 * a handler of that name is there already; -ENOMEM. */
int registry_load(struct registry *registry, const char *path, char **ret_message) WEFT_MUST_CHECK;

/* The handler, or NULL. */
const struct weft_handler *registry_find(const struct registry *registry, const char *name);

/* Calls the plugins' start functions in order; stops at the first that fails, gives its error and `*ret_plugin`, its
 * name. */
int registry_start(const struct registry *registry, const char **ret_plugin) WEFT_MUST_CHECK;

/* Calls the plugins' stop functions in reverse order. */
void registry_stop(const struct registry *registry);

void registry_done(struct registry *registry);
