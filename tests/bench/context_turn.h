/*
 * Turns of a libevent loop, for the same code to be timed in a program with weft and in one without.
 */
#pragma once

#include "tests/bench/timing.h"

/* Arms timers of no time, of which each fires once, until `count` have fired altogether. */
void turn_arm_anew(struct timing *timing);

/* The same with timers that their own callbacks arm again. */
void turn_arm_again(struct timing *timing);

/* To be called before and after. */
int turn_begin(void);
void turn_end(void);
