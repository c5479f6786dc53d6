/*
 * A family: an order enqueues its invoice, and the invoice its receipt. Each is a job of its own, with its own ID,
 * retries and report; all of them carry the metadata of the first, and its ID as their root.
 */
#include "handlers/examples/examples.h"

static int enqueue_child(struct weft_job *job, const char *type)
{
    size_t size;
    const void *payload = weft_job_payload(job, &size);
    char id[WEFT_ID_SIZE];
    int r = weft_enqueue(type, payload, size, NULL, id);

    if (r == 0)
        weft_log_with(WEFT_INFO, "Enqueued a child job", WEFT_TEXT("child_type", type), WEFT_TEXT("child_id", id));
    return r;
}

int example_order(struct weft_job *job)
{
    weft_info("Order of %s accepted", weft_get("customer"));
    return enqueue_child(job, "invoice");
}

int example_invoice(struct weft_job *job)
{
    weft_info("Invoice for %s written", weft_get("customer"));
    return enqueue_child(job, "receipt");
}

int example_receipt(struct weft_job *job)
{
    (void)job;
    weft_info("Receipt for %s filed", weft_get("customer"));
    return 0;
}
