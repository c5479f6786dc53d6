/*
 * The same two requests as in request.c, with the request's ID in a global variable. The second request overwrites it
 * while the first one waits, so the IDs in brackets are wrong. The job_id of the same lines, which comes from the
 * context, is right: that is what weft is for.
 */
#include <stdio.h>

#include "handlers/examples/examples.h"

static char global_request_id[64];

static int get_user_from_database(int id)
{
    weft_info("[%s] Fetching user %d", global_request_id, id);
    return weft_sleep_ms(100);
}

static int get_permissions(const char *user)
{
    weft_info("[%s] Getting permissions for %s", global_request_id, user);
    int r = weft_sleep_ms(150);
    if (r == 0)
        weft_info("[%s] Permissions retrieved", global_request_id);
    return r;
}

int example_request_global(struct weft_job *job)
{
    (void)snprintf(global_request_id, sizeof(global_request_id), "%s", weft_job_id(job));
    weft_info("[%s] Starting request processing", global_request_id);
    int r = get_user_from_database(123);
    if (r == 0)
        r = get_permissions("Jane Doe");
    if (r == 0)
        weft_info("[%s] Request finished successfully", global_request_id);
    return r;
}
