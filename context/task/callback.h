/*
 * Callbacks behind weft_call_soon() and weft_call_later(): code that the loop runs in the context of the call.
 */
#pragma once

struct weft_loop;

/* Drops the callbacks of a loop that is being freed, and stops all of its timers. */
void callback_drop_all(struct weft_loop *loop);
