/*
 * Middleware, authentication, service: request_context → authenticate → user_profile. The service, two calls deep,
 * knows who the user is although nobody has told it.
 */
#include <stdio.h>
#include <string.h>

#include "handlers/examples/examples.h"

/* ---- Middleware ---- */

static int make_uuid(char uuid[static 37])
{
    FILE *file = fopen("/proc/sys/kernel/random/uuid", "re");
    size_t size = file ? fread(uuid, 1, 36, file) : 0;

    if (file)
        (void)fclose(file);
    uuid[size] = '\0';
    return size == 36 ? 0 : -EIO;
}

/* Runs the rest of the chain in a scope of its own, under a fresh ID. */
int example_request_context(struct weft_job *job)
{
    char uuid[37];
    int r = make_uuid(uuid);

    if (r < 0)
        return r;
    WEFT_SCOPE();
    r = weft_set("request_id", uuid);
    if (r < 0)
        return r;
    weft_info("Request started: GET /user");
    return weft_next(job);
}

/* ---- Authentication ---- */

struct account {
    const char *token;
    const char *id;
    const char *name;
};

static const struct account accounts[] = {
    {"token-of-alice", "user-123", "Alice"},
    {"token-of-bob", "user-456", "Bob"},
};

/* Puts the user into the context, for every handler that follows. Whether there has to be one is not for it to say. */
int example_authenticate(struct weft_job *job)
{
    const char *token = weft_get("token");

    (void)job;
    for (size_t i = 0; token && i < sizeof(accounts) / sizeof(accounts[0]); i++) {
        if (strcmp(accounts[i].token, token) != 0)
            continue;
        int r = weft_set("user.id", accounts[i].id);
        return r < 0 ? r : weft_set("user.name", accounts[i].name);
    }
    return 0;
}

/* ---- Service ---- */

struct details {
    const char *company;
    const char *country;
};

static int fetch_details_from_database(struct details *ret_details)
{
    weft_info("Fetching details for user %s from database", weft_get("user.id"));
    int r = weft_sleep_ms(50);
    if (r == 0)
        *ret_details = (struct details){.company = "Global Tech Inc.", .country = "Worldwide"};
    return r;
}

static int get_profile(struct details *ret_details)
{
    if (!weft_get("user.id"))
        return -EACCES;
    weft_info("Building profile for user: %s", weft_get("user.name"));
    return fetch_details_from_database(ret_details);
}

int example_user_profile(struct weft_job *job)
{
    struct details details;

    weft_info("Handling /user request");
    int r = get_profile(&details);
    if (r == -EACCES)
        return weft_fail(job, "user not authenticated"); /* trying again cannot help */
    if (r < 0)
        return r;

    const char *result = weft_printf(job, "{\"id\":\"%s\",\"name\":\"%s\",\"company\":\"%s\",\"country\":\"%s\"}",
                                     weft_get("user.id"), weft_get("user.name"), details.company, details.country);
    return result ? weft_result(job, result) : -ENOMEM;
}
