/*
 * Leaving one stack for another, by hand: the registers that a function keeps for its caller go to the stack that is
 * left. ucontext would make two system calls for the signal mask, and longjmp takes several times as long.
 *
 * Sanitizers follow only what they intercept, and shadow stacks only what knows of them: there, and on other
 * processors, coroutine.c does without.
 */
#pragma once

#if (defined(__x86_64__) && !(defined(__CET__) && (__CET__ & 2))) || defined(__aarch64__)
#define SWITCH_BY_HAND 1

/* What lies where the stack pointer of a stack that was left points to. etc/gdb reads it. */
struct switch_frame {
#if defined(__x86_64__)
    void *r15, *r14, *r13, *r12, *rbx, *rbp, *rip;
#else
    void *x19, *x20, *x21, *x22, *x23, *x24, *x25, *x26, *x27, *x28, *x29, *pc;
    double d8, d9, d10, d11, d12, d13, d14, d15;
#endif
};

/* Goes on where `to` was left, or begins there; where this stack is to be gone on with is written to `*ret_from`.
 * Returns when somebody does. */
void switch_stack(struct switch_frame **ret_from, struct switch_frame *to);

/* Has fn(arg) called when somebody switches to it, on the stack that ends at `top`. It must not return. */
struct switch_frame *switch_prepare(char *top, void (*fn)(void *arg), void *arg);

#else
#define SWITCH_BY_HAND 0
#endif
