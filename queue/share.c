#include "queue/share.h"

#include <stdbool.h>

static bool can_take(const struct share *share)
{
    return share->places < share->most;
}

/* Each candidate earns its weight; the richest gets the place and pays for all. */
static struct share *choose(struct share *shares, size_t count)
{
    struct share *chosen = NULL;
    int64_t total = 0;

    for (size_t i = 0; i < count; i++) {
        if (!can_take(&shares[i]))
            continue;
        shares[i].credit += shares[i].weight;
        total += shares[i].weight;
        if (!chosen || shares[i].credit > chosen->credit)
            chosen = &shares[i];
    }
    if (chosen)
        chosen->credit -= total;
    return chosen;
}

unsigned share_out(struct share *shares, size_t count, unsigned places)
{
    unsigned taken = 0;

    for (size_t i = 0; i < count; i++)
        shares[i].places = 0;
    while (taken < places) {
        struct share *chosen = choose(shares, count);

        if (!chosen)
            break;
        chosen->places++;
        taken++;
    }
    return taken;
}
