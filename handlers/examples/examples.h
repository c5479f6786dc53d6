/*
 * The examples: the situations that made asynchronous context necessary, each as handlers of one plugin.
 * etc/examples.yaml has the job types.
 */
#pragma once

#include <weft/weft.h>

/* request.c: two requests interleave, and every line carries its own request. */
weft_handler_fn example_request;

/* request_global.c: the same with the ID in a global variable, and what becomes of it. */
weft_handler_fn example_request_global;

/* numbered.c: start, a chain of callbacks, finish. */
weft_handler_fn example_numbered;

/* profile.c: a chain of middleware, authentication and a service. */
weft_handler_fn example_request_context;
weft_handler_fn example_authenticate;
weft_handler_fn example_user_profile;

/* notify.c: fire and forget. */
weft_handler_fn example_notify;

/* nesting.c: a run inside a run. */
weft_handler_fn example_nesting;

/* checksum.c: reads a file, which blocks. */
weft_handler_fn example_checksum;

/* family.c: a job that enqueues a job that enqueues a job. */
weft_handler_fn example_order;
weft_handler_fn example_invoice;
weft_handler_fn example_receipt;
