/*
 * Fire and forget: the job is done long before its subtasks are. All their lines carry the job's ID, and the one that
 * fails is counted in the job's report without changing its outcome.
 */
#include "handlers/examples/examples.h"

static int send_mail(void *arg)
{
    (void)arg;
    weft_info("Sending mail to %s", weft_get("customer"));
    int r = weft_sleep_ms(50);
    if (r == 0)
        weft_info("Mail sent");
    return r;
}

static int call_webhook(void *arg)
{
    (void)arg;
    int r = weft_sleep_ms(100);
    if (r < 0)
        return r;
    weft_warn("The webhook of %s does not answer", weft_get("customer"));
    return -ECONNREFUSED;
}

static int write_audit(void *arg)
{
    (void)arg;
    int r = weft_sleep_ms(300);
    if (r == 0)
        weft_info("Audit of %s written, long after the job was done", weft_get("customer"));
    return r;
}

int example_notify(struct weft_job *job)
{
    weft_info("Notifying %s", weft_get("customer"));
    if (!weft_spawn("mail", send_mail, NULL) || !weft_spawn("webhook", call_webhook, NULL) ||
        !weft_spawn("audit", write_audit, NULL))
        return -errno;
    return weft_result(job, "{\"notified\":true}");
}
