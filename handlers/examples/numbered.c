/*
 * Start, then finish: the handler goes on in a chain of callbacks of the event loop, each of which runs long after the
 * one before has returned, and all of which belong to the job.
 */
#include "handlers/examples/examples.h"

static void third(void *finished)
{
    weft_info("finish");
    weft_future_complete(finished, 0);
}

static void second(void *finished)
{
    int r = weft_call_soon(third, finished);

    if (r < 0)
        weft_future_complete(finished, r);
}

static void first(void *finished)
{
    int r = weft_call_soon(second, finished);

    if (r < 0)
        weft_future_complete(finished, r);
}

int example_numbered(struct weft_job *job)
{
    /* In the job's memory, not on the stack: a wait that is cancelled leaves while the callbacks are still to come. */
    struct weft_future *finished = weft_alloc(job, sizeof(*finished));

    if (!finished)
        return -ENOMEM;
    weft_info("start");
    int result = weft_call_soon(first, finished);
    if (result < 0)
        return result;
    int r = weft_future_wait(finished, &result);
    return r < 0 ? r : result;
}
