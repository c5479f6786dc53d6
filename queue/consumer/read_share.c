#include "queue/consumer/read_share.h"

#include <assert.h>

#define PORTIONS 8                 /* that a round is given out in, at the most unless some cannot be used up */
#define PLACE    UINT64_C(3603600) /* what a place costs a queue of weight 1 */

static unsigned smaller(unsigned one, unsigned other)
{
    return one < other ? one : other;
}

static uint64_t cost(const struct read_share *share, unsigned places)
{
    return places * PLACE / share->weight;
}

/* How many more places it can take. */
static unsigned appetite(const struct read_share *share, unsigned common)
{
    unsigned own = share->own > share->places ? share->own - share->places : 0;

    return smaller(share->most - share->places, common > UINT32_MAX - own ? UINT32_MAX : common + own);
}

/* The one that will have spent the least when it has had its portion: of two that have waited for equally long that is
 * the heavier one. Who could take nothing for a while has not saved up. */
static struct read_share *choose(struct sharing *sharing, unsigned portion, unsigned common)
{
    struct read_share *chosen = NULL;
    uint64_t least = UINT64_MAX, first = UINT64_MAX;

    for (size_t i = 0; i < sharing->count; i++) {
        struct read_share *share = &sharing->shares[i];
        uint64_t spent;

        if (appetite(share, common) == 0)
            continue;
        if (share->spent < sharing->now)
            share->spent = sharing->now;
        least = share->spent < least ? share->spent : least;
        spent = share->spent + cost(share, portion);
        if (spent < first) {
            chosen = share;
            first = spent;
        }
    }
    if (chosen)
        sharing->now = least;
    return chosen;
}

unsigned read_share_out(struct sharing *sharing, unsigned places, unsigned common)
{
    unsigned portion = (places + PORTIONS - 1) / PORTIONS;
    unsigned left = places;

    for (size_t i = 0; i < sharing->count; i++)
        sharing->shares[i].places = 0;
    while (left > 0) {
        struct read_share *chosen = choose(sharing, portion, common);
        unsigned count, own;

        if (!chosen)
            break;
        count = smaller(smaller(portion, left), appetite(chosen, common));
        own = chosen->own > chosen->places ? smaller(count, chosen->own - chosen->places) : 0;
        assert(count > 0 && count - own <= common);
        chosen->spent += cost(chosen, count);
        chosen->places += count;
        common -= count - own;
        left -= count;
    }
    return places - left;
}
