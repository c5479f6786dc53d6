/*
 * weft_enqueue(), for tasks that belong to no job.
 */
#pragma once

struct runner;

/* From now on it uses this runner on this thread. */
void enqueue_set_runner(struct runner *runner);
