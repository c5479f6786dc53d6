/*
 * What of a bufferevent has to end when libevent replaces its callbacks, or frees it, without a call that comes by
 * here.
 */
#pragma once

#include "context/propagate/wrapped_callback.h"

struct bufferevent;

/* The record of its callbacks with a reference, or NULL; to be let go when they may have been replaced. */
struct wrapped_callback *bufferevent_hold_callbacks(struct bufferevent *bufferevent);

/* Ends them if the bufferevent (NULL: it is freed) has others by now. Takes NULL. */
void bufferevent_let_callbacks_go(struct wrapped_callback *held, const struct bufferevent *bufferevent);

/* The bufferevent is about to be freed. */
void bufferevent_forget(struct bufferevent *bufferevent);
