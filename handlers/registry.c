#include "handlers/registry.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context/name.h"
#include "context/propagate/propagate.h"
#include "context/propagate/self_test.h"

WEFT_PRINTF(3, 4) static int refuse(char **ret_message, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (vasprintf(ret_message, format, args) < 0)
        *ret_message = NULL;
    va_end(args);
    return *ret_message ? error : -ENOMEM;
}

static const struct registry_plugin *find_plugin_with(const struct registry *registry, const char *handler)
{
    for (size_t i = 0; i < registry->count; i++)
        for (const struct weft_handler *each = registry->plugins[i].plugin->handlers; each->name; each++)
            if (strcmp(each->name, handler) == 0)
                return &registry->plugins[i];
    return NULL;
}

const struct weft_handler *registry_find(const struct registry *registry, const char *name)
{
    const struct registry_plugin *loaded = find_plugin_with(registry, name);
    const struct weft_handler *handler = loaded ? loaded->plugin->handlers : NULL;

    while (handler && strcmp(handler->name, name) != 0)
        handler++;
    return handler;
}

/* Within one plugin a name may also be given twice. */
static int check_handler(const struct registry *registry, const struct weft_plugin *plugin,
                         const struct weft_handler *handler, const char *path, char **ret_message)
{
    if (!name_is_valid(handler->name, strlen(handler->name)) || !handler->run)
        return refuse(ret_message, -EINVAL,
                      "plugin %s: a handler needs a name of " NAME_ALPHABET " and a function, which \"%.64s\" has not",
                      path, handler->name);

    const struct registry_plugin *other = find_plugin_with(registry, handler->name);
    if (other)
        return refuse(ret_message, -EEXIST, "plugin %s: the handler \"%s\" is already there, from %s; rename one", path,
                      handler->name, other->path);
    for (const struct weft_handler *before = plugin->handlers; before < handler; before++)
        if (strcmp(before->name, handler->name) == 0)
            return refuse(ret_message, -EEXIST, "plugin %s: the handler \"%s\" is there twice; rename one", path,
                          handler->name);
    return 0;
}

static int check_plugin(const struct registry *registry, const struct weft_plugin *plugin, const char *path,
                        char **ret_message)
{
    if (!plugin)
        return refuse(ret_message, -ENOEXEC,
                      "plugin %s: it has no descriptor; a plugin is made with WEFT_PLUGIN() of <weft/weft.h>", path);
    if (plugin->abi != WEFT_ABI || plugin->size < sizeof(struct weft_plugin))
        return refuse(
            ret_message, -ENOEXEC,
            "plugin %s: it was built for ABI %u (descriptor of %u bytes), and this weftd has ABI %u (%zu bytes); "
            "build it again with this version's headers",
            path, plugin->abi, plugin->size, WEFT_ABI, sizeof(struct weft_plugin));
    if (!plugin->name || !plugin->handlers)
        return refuse(ret_message, -EINVAL, "plugin %s: its descriptor lacks a name or handlers", path);
    for (const struct weft_handler *handler = plugin->handlers; handler->name; handler++) {
        int r = check_handler(registry, plugin, handler, path, ret_message);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What it brings along is checked, too. */
static int check_binding(const char *path, char **ret_message)
{
    char *reason;
    int r = self_test_libraries(&reason);

    if (r < 0 && reason)
        r = refuse(ret_message, r, "plugin %s: %s", path, reason);
    free(reason);
    return r;
}

int registry_load(struct registry *registry, const char *path, char **ret_message)
{
    assert(path[0] == '/');
    *ret_message = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return refuse(ret_message, -ENOENT, "plugin %s: it cannot be loaded: %s", path, dlerror());

    const struct weft_plugin *plugin = dlsym(library, "weft_plugin");
    int r = check_plugin(registry, plugin, path, ret_message);
    if (r == 0)
        r = check_binding(path, ret_message);
    if (r == 0)
        r = propagate_adopt_plugin(plugin);
    if (r < 0) {
        (void)dlclose(library);
        return r;
    }
    struct registry_plugin *plugins = reallocarray(registry->plugins, registry->count + 1, sizeof(*plugins));
    char *copy = strdup(path);
    if (plugins)
        registry->plugins = plugins;
    if (!plugins || !copy) {
        free(copy);
        (void)dlclose(library);
        return -ENOMEM;
    }
    registry->plugins[registry->count++] = (struct registry_plugin){.plugin = plugin, .path = copy};
    return 0;
}

int registry_start(const struct registry *registry, const char **ret_plugin)
{
    for (size_t i = 0; i < registry->count; i++) {
        const struct weft_plugin *plugin = registry->plugins[i].plugin;
        int r = plugin->start ? plugin->start() : 0;

        if (r < 0) {
            *ret_plugin = plugin->name;
            return r;
        }
    }
    return 0;
}

void registry_stop(const struct registry *registry)
{
    for (size_t i = registry->count; i > 0; i--)
        if (registry->plugins[i - 1].plugin->stop)
            registry->plugins[i - 1].plugin->stop();
}

void registry_done(struct registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        free(registry->plugins[i].path);
    free(registry->plugins);
    *registry = (struct registry){0};
}
