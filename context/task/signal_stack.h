/*
 * A stack for signal handlers: a thread that has used up its own has no room left to run one.
 */
#pragma once

#include <signal.h>
#include <stddef.h>

#include <weft/api.h>

struct signal_stack {
    char *memory; /* NULL: there is none */
    size_t size;
    stack_t before; /* what the thread had */
};

/* Gives this thread a stack for handlers that ask for one (SA_ONSTACK). Errors: -ENOMEM, and signal_stack_done() does
 * nothing. */
int signal_stack_init(struct signal_stack *stack) WEFT_MUST_CHECK;

/* On the same thread, before it ends: gives it back what it had. */
void signal_stack_done(struct signal_stack *stack);

/* All signals but those that a thread brings on itself, which end the process unheard where they are blocked. */
void signal_stack_others(sigset_t *ret_set);
