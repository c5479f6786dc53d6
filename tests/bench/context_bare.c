/* Turns of a libevent loop in a program that has nothing of weft in it. */
#include <stdlib.h>

#include "tests/bench/context_turn.h"

enum { EVENTS = 6400 };

int main(void)
{
    struct timing timings[] = {
        {"event, bare", turn_arm_anew, EVENTS, 0, 0},
        {"event again, bare", turn_arm_again, EVENTS, 0, 0},
    };

    if (turn_begin() < 0)
        return EXIT_FAILURE;
    timing_run(timings, sizeof(timings) / sizeof(*timings));
    turn_end();
    return EXIT_SUCCESS;
}
