/*
 * What is left of a batch of which Redis has taken a part.
 */
#pragma once

#include <stdbool.h>

#include "queue/settle/batch.h"

/* The record that settle.lua calls number `number`: it counts, from 1 on, those of `entries` and then those of
 * `others`. NULL: there is none. */
struct batch_record *pending_batch_find(struct batch *batch, long long number);

/* Takes out all records but those that are `kept`, a flag for each of them; the batch has to be ended again. */
void pending_batch_keep(struct batch *batch, const bool *kept);
