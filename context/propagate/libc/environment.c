#include "context/propagate/libc/environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/context.h>

#include "context/name.h"

#define META_PREFIX "WEFT_META_"

struct environment_variable {
    char *text;         /* "NAME=value"; just "NAME": there is none */
    size_t name_size;   /* without the "=" */
    const char *source; /* the name of the context's value; NULL: weft's own */
    bool is_callers;    /* the caller has one of that name */
};

static int (*provide_more)(struct environment *environment);

void environment_provide_with(int (*provide)(struct environment *environment))
{
    provide_more = provide;
}

/* ---- The context's variables ---- */

static struct environment_variable *find_own(const struct environment *environment, const char *name, size_t size)
{
    for (size_t i = 0; i < environment->own_count; i++) {
        struct environment_variable *own = &environment->own[i];

        if (own->name_size == size && memcmp(own->text, name, size) == 0)
            return own;
    }
    return NULL;
}

static int append(struct environment *environment, struct environment_variable variable)
{
    struct environment_variable *own =
        reallocarray(environment->own, environment->own_count + 1, sizeof(*environment->own));

    if (!own)
        return -ENOMEM;
    environment->own = own;
    own[environment->own_count++] = variable;
    return 0;
}

int environment_add(struct environment *environment, const char *name, const char *value)
{
    struct environment_variable variable = {.name_size = strlen(name)};

    if (value ? asprintf(&variable.text, "%s=%s", name, value) < 0 : !(variable.text = strdup(name)))
        return -ENOMEM;
    int r = append(environment, variable);
    if (r < 0)
        free(variable.text);
    return r;
}

/* The names of a context's values have neither a "=" nor a NUL in them. */
static int add_meta(const char *name, const char *value, size_t size, void *arg)
{
    struct environment *environment = arg;
    struct environment_variable variable = {.name_size = strlen(META_PREFIX) + strlen(name), .source = name};

    if (name_is_own(name, strlen(name)) || memchr(value, '\0', size))
        return 0;
    if (asprintf(&variable.text, META_PREFIX "%s=%s", name, value) < 0)
        return -ENOMEM;
    for (char *at = variable.text + strlen(META_PREFIX); *at != '='; at++)
        *at = name_as_variable(*at);

    struct environment_variable *same = find_own(environment, variable.text, variable.name_size);
    if (same && strcmp(same->source, name) <= 0) {
        free(variable.text);
        return 0;
    }
    if (same) {
        free(same->text);
        *same = variable;
        return 0;
    }
    int r = append(environment, variable);
    if (r < 0)
        free(variable.text);
    return r;
}

/* ---- Together with the caller's ---- */

static bool is_inherited(const char *text)
{
    for (char *const *at = environ; at && *at; at++)
        if (strcmp(*at, text) == 0)
            return true;
    return false;
}

/* Whether a variable is passed on as the caller wants it. */
static bool stays(const struct environment *environment, const char *text, bool is_process_environment)
{
    struct environment_variable *own = find_own(environment, text, strcspn(text, "="));

    if (!own && strncmp(text, META_PREFIX, strlen(META_PREFIX)) != 0)
        return true;
    if (is_process_environment || is_inherited(text))
        return false;
    if (own)
        own->is_callers = true;
    return true;
}

static int merge(struct environment *environment, char *const *wanted)
{
    size_t wanted_count = 0, n = 0;
    while (wanted && wanted[wanted_count])
        wanted_count++;
    char **variables = calloc(wanted_count + environment->own_count + 1, sizeof(*variables));

    if (!variables)
        return -ENOMEM;
    for (size_t i = 0; i < wanted_count; i++)
        if (stays(environment, wanted[i], wanted == environ))
            variables[n++] = wanted[i];
    for (size_t i = 0; i < environment->own_count; i++) {
        const struct environment_variable *own = &environment->own[i];

        if (!own->is_callers && own->text[own->name_size] == '=')
            variables[n++] = own->text;
    }
    environment->variables = variables;
    return 0;
}

int environment_init(struct environment *environment, char *const *wanted)
{
    *environment = (struct environment){0};
    int r = weft_each(add_meta, environment);
    if (r == 0 && provide_more)
        r = provide_more(environment);
    if (r == 0)
        r = merge(environment, wanted);
    if (r < 0)
        environment_done(environment);
    return r;
}

void environment_done(struct environment *environment)
{
    for (size_t i = 0; i < environment->own_count; i++)
        free(environment->own[i].text);
    free(environment->own);
    free(environment->variables);
    *environment = (struct environment){0};
}
