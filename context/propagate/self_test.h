/*
 * The self-test: whether what programs and libraries schedule comes by here at all. Where it does not, contexts would
 * be lost without a word. It takes a fraction of a millisecond, and waits for nothing.
 */
#pragma once

#include <weft/api.h>

/* Schedules something in a context, as other code would, and looks at the shared objects that are loaded. To be called
 * at the start. Errors: -ENOTSUP, with `*ret_message` a sentence that names the reason and what would be right (the
 * caller's to free); -ENOMEM, with NULL. */
int self_test_run(char **ret_message) WEFT_MUST_CHECK;

/* The second half alone: how the shared objects that are loaded by now are bound. To be called when some have been
 * loaded since. */
int self_test_libraries(char **ret_message) WEFT_MUST_CHECK;
