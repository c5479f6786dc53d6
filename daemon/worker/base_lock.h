/*
 * Locks for libevent: with them any thread may call event_base_once() and the like on the worker's base. They are
 * weft's own rather than libevent_pthreads', so that the base's can be held over a fork: a thread that was inside
 * libevent then does not exist in the copy, which has to stop its loop all the same.
 */
#pragma once

/* Installs them, for all that libevent makes from now on; to be called before the worker has a base, once. Errors:
 * -EBUSY somebody else has installed others. */
int base_lock_install(void) __attribute__((warn_unused_result));

/* The base is about to be made: the next lock that libevent asks for is the one to be held over a fork. */
void base_lock_expect(void);
