#include "queue/maintenance/sighting.h"

#include <stdlib.h>
#include <string.h>

struct sighting *sighting_find(struct sighting *list, const char *name)
{
    while (list && strcmp(list->name, name) != 0)
        list = list->next;
    return list;
}

struct sighting *sighting_note(struct sighting **list, const char *name, int64_t now_ms)
{
    size_t size = strlen(name) + 1;
    struct sighting *sighting = sighting_find(*list, name);

    if (!sighting) {
        sighting = calloc(1, sizeof(*sighting) + size);
        if (!sighting)
            return NULL;
        memcpy(sighting->name, name, size);
        sighting->since_ms = now_ms;
        sighting->next = *list;
        *list = sighting;
    }
    sighting->again = true;
    return sighting;
}

size_t sighting_sift(struct sighting **list)
{
    size_t count = 0;

    while (*list) {
        struct sighting *sighting = *list;

        if (sighting->again) {
            sighting->again = false;
            list = &sighting->next;
            count++;
        } else {
            *list = sighting->next;
            free(sighting);
        }
    }
    return count;
}
