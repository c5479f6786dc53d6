/*
 * Two interleaved requests. Both wait at the same time, and no function takes the request as a parameter; still each
 * line carries the job that it belongs to.
 */
#include "handlers/examples/examples.h"

struct user {
    int id;
    const char *name;
};

static int get_user_from_database(int id, struct user *ret_user)
{
    weft_info("Fetching user %d", id);
    int r = weft_sleep_ms(100);
    if (r < 0)
        return r;
    *ret_user = (struct user){.id = id, .name = "Jane Doe"};
    return 0;
}

static int get_permissions(const struct user *user)
{
    weft_info("Getting permissions for %s", user->name);
    int r = weft_sleep_ms(150);
    if (r < 0)
        return r;
    weft_info("Permissions retrieved");
    return 0;
}

int example_request(struct weft_job *job)
{
    struct user user;

    weft_info("Starting request processing");
    int r = get_user_from_database(123, &user);
    if (r == 0)
        r = get_permissions(&user);
    if (r < 0)
        return r;
    weft_info("Request finished successfully");
    return weft_result(job, "{\"can_edit\":true}");
}
