/*
 * Cancellation as tasks, and the calls that threads run for them, see it: what weft_on_cancel() has registered.
 */
#pragma once

struct weft_task;

/* Calls, on the loop's thread, what was registered for a task that has just been interrupted; each once. */
void cancel_tell(struct weft_task *task);

/* Drops what `owner` has registered with the task (NULL: the task's own code, else the thread of the pool), and waits
 * for what is being called of it. */
void cancel_leave(struct weft_task *task, const void *owner);
