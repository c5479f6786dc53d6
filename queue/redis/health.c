#include "queue/redis/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/log.h>

void health_init(struct health *health, const struct queue_options *options,
                 void (*tell)(const char *problem, void *user), void *user)
{
    *health = (struct health){.tell = tell, .user = user};
    if (options->socket_path)
        snprintf(health->address, sizeof(health->address), "%s", options->socket_path);
    else
        snprintf(health->address, sizeof(health->address), "%s:%d", options->host, options->port);
}

static bool was_reported(const struct health *health, const char *text)
{
    for (size_t i = 0; i < HEALTH_REPORTED_MAX && i < health->reported_count; i++)
        if (strcmp(health->reported[i], text) == 0)
            return true;
    return false;
}

void health_set_problem(struct health_subject *subject, const char *format, ...)
{
    struct health *health = subject->health;
    char text[HEALTH_TEXT_SIZE];
    int size = snprintf(text, sizeof(text), "Redis at %s ", health->address);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + size, sizeof(text) - (size_t)size, format, arguments);
    va_end(arguments);
    weft_debug("%s", text);
    if (!subject->unhealthy) {
        subject->unhealthy = true;
        health->unhealthy++;
    }
    if (was_reported(health, text))
        return;
    memcpy(health->reported[health->reported_count++ % HEALTH_REPORTED_MAX], text, sizeof(text));
    health->tell(text, health->user);
}

void health_clear_problem(struct health_subject *subject)
{
    struct health *health = subject->health;

    if (!subject->unhealthy)
        return;
    weft_debug("Redis at %s answers again", health->address);
    subject->unhealthy = false;
    if (--health->unhealthy > 0)
        return;
    health->reported_count = 0;
    health->tell(NULL, health->user);
}
