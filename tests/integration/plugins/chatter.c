/*
 * Handlers that log a lot, for the tests of what the log is written to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

enum { VALUE_SIZE = 30 * 1024 };

/* Logs as many lines as the payload says, of very different sizes, up to that of two values, each with a number of its
 * own; after "/", of one size. */
static int chatter(struct weft_job *job)
{
    const char *payload = weft_job_payload(job, NULL);
    long lines = strtol(payload, NULL, 10);
    const char *slash = strchr(payload, '/');
    static char filler[VALUE_SIZE + 1];

    memset(filler, 'x', VALUE_SIZE);
    for (long i = 0; i < lines; i++) {
        size_t size = slash ? strtoul(slash + 1, NULL, 10) : i % 100 == 0 ? 2 * VALUE_SIZE : i % 10 == 0 ? 5000 : 100;
        size_t first = size > VALUE_SIZE ? VALUE_SIZE : size;
        const char *one = filler + VALUE_SIZE - first, *other = filler + VALUE_SIZE - (size - first);

        weft_log_with(WEFT_INFO, "chatter", WEFT_INT("number", i), WEFT_INT("size", size), WEFT_TEXT("one", one),
                      WEFT_TEXT("other", other));
        if (i % 50 == 0 && weft_sleep_ms(1) < 0)
            return -errno;
    }
    return 0;
}

WEFT_PLUGIN("chatter", WEFT_HANDLER("chatter", chatter));
