/* The plugin's descriptor, and the two smallest handlers there can be. */
#include "handlers/examples/examples.h"

static int hello(struct weft_job *job)
{
    const char *name = weft_get("name");

    (void)job;
    weft_info("Hello, %s!", name ? name : "world");
    return 0;
}

static int noop(struct weft_job *job)
{
    (void)job;
    return 0;
}

WEFT_PLUGIN("examples", WEFT_HANDLER("hello", hello), WEFT_HANDLER("noop", noop),
            WEFT_HANDLER("request", example_request), WEFT_HANDLER("request_global", example_request_global),
            WEFT_HANDLER("numbered", example_numbered), WEFT_HANDLER("request_context", example_request_context),
            WEFT_HANDLER("authenticate", example_authenticate), WEFT_HANDLER("user_profile", example_user_profile),
            WEFT_HANDLER("notify", example_notify), WEFT_HANDLER("nesting", example_nesting),
            WEFT_HANDLER("checksum", example_checksum), WEFT_HANDLER("order", example_order),
            WEFT_HANDLER("invoice", example_invoice), WEFT_HANDLER("receipt", example_receipt));
