/*
 * Shares out places among queues by their weights: fair over time, not only within one round, and with nothing left
 * over as long as somebody can take it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct share {
    unsigned weight; /* from 1 */
    unsigned most;   /* places it can take in this round; 0: none */
    unsigned places; /* the result */
    int64_t credit;  /* what it has been denied so far; kept from round to round, 0 at first */
};

/* Shares out at most `places`; gives how many were taken. */
unsigned share_out(struct share *shares, size_t count, unsigned places);
