/*
 * Shares out places among queues by their weights: fair over time, not only within one round, and with nothing left
 * over as long as somebody can take it.
 *
 * Many places are given out in a few portions, not one by one, so that a queue gets a number of jobs worth the command
 * that reads them and the one that settles them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct read_share {
    unsigned weight; /* from 1 */
    unsigned most;   /* places it can take in this round; 0: none */
    unsigned own;    /* so many of the places it takes are its own, and not common ones */
    unsigned places; /* the result */
    uint64_t spent;  /* places it has had so far, by its weight; kept from round to round, 0 at first */
};

struct sharing {
    struct read_share *shares;
    size_t count;
    uint64_t now; /* what the one that had spent the least had spent; 0 at first */
};

/* Shares out at most `places`, of which `common` are not anybody's own; gives how many were taken. */
unsigned read_share_out(struct sharing *sharing, unsigned places, unsigned common);
