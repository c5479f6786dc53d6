/*
 * A handler that enqueues two children with one unique key.
 */
#include <weft/weft.h>

static int twins(struct weft_job *job)
{
    struct weft_enqueue_options options = {.queue = "default", .unique = "twin", .unique_for_ms = 3600 * 1000};
    char first[WEFT_ID_SIZE], second[WEFT_ID_SIZE];
    int r = weft_enqueue("sleeper", NULL, 0, &options, first);

    if (r == 0)
        r = weft_enqueue("sleeper", NULL, 0, &options, second);
    return r < 0 ? r : weft_result(job, weft_printf(job, "%s %s", first, second));
}

WEFT_PLUGIN("twins", WEFT_HANDLER("twins", twins));
