/*
 * When callbacks of buffers end that libevent frees without a call that comes by here.
 */
#pragma once

struct bufferevent;
struct event_base;

/* The bufferevent is about to be freed, and its two buffers with it. Callbacks that libevent has put off are still
 * called; the bufferevent itself goes when the loop has done so. */
void buffers_forget(struct bufferevent *bufferevent);

/* A base is about to be freed: its loop calls nothing any more. */
void buffers_forget_base(const struct event_base *base);
