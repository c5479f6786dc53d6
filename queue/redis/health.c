#include "queue/redis/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/log.h>

void trouble_init(struct trouble *trouble, const struct queue_options *options,
                  void (*tell)(const char *problem, void *user), void *user)
{
    *trouble = (struct trouble){.tell = tell, .user = user};
    if (options->socket_path)
        snprintf(trouble->address, sizeof(trouble->address), "%s", options->socket_path);
    else
        snprintf(trouble->address, sizeof(trouble->address), "%s:%d", options->host, options->port);
}

static bool was_told(const struct trouble *trouble, const char *text)
{
    for (size_t i = 0; i < TROUBLE_TOLD_MAX && i < trouble->told_count; i++)
        if (strcmp(trouble->told[i], text) == 0)
            return true;
    return false;
}

void trouble_begin(struct trouble_subject *subject, const char *format, ...)
{
    struct trouble *trouble = subject->trouble;
    char text[TROUBLE_TEXT_SIZE];
    int size = snprintf(text, sizeof(text), "Redis at %s ", trouble->address);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + size, sizeof(text) - (size_t)size, format, arguments);
    va_end(arguments);
    weft_debug("%s", text);
    if (!subject->ailing) {
        subject->ailing = true;
        trouble->ailing++;
    }
    if (was_told(trouble, text))
        return;
    memcpy(trouble->told[trouble->told_count++ % TROUBLE_TOLD_MAX], text, sizeof(text));
    trouble->tell(text, trouble->user);
}

void trouble_end(struct trouble_subject *subject)
{
    struct trouble *trouble = subject->trouble;

    if (!subject->ailing)
        return;
    weft_debug("Redis at %s answers again", trouble->address);
    subject->ailing = false;
    if (--trouble->ailing > 0)
        return;
    trouble->told_count = 0;
    trouble->tell(NULL, trouble->user);
}
