#include "context/task/switch.h"

#if SWITCH_BY_HAND

#include <stdint.h>

/* switch_begin is what the first return of a new stack goes to. There is nothing above it: unwinders end there. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl switch_stack\n"
        ".hidden switch_stack\n"
        ".type switch_stack, @function\n"
        "switch_stack:\n"
        "    .cfi_startproc\n"
        "    pushq %rbp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %rbp, 0\n"
        "    pushq %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %rbx, 0\n"
        "    pushq %r12\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r12, 0\n"
        "    pushq %r13\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r13, 0\n"
        "    pushq %r14\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r14, 0\n"
        "    pushq %r15\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset %r15, 0\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore %r15\n"
        "    popq %r14\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore %r14\n"
        "    popq %r13\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore %r13\n"
        "    popq %r12\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore %r12\n"
        "    popq %rbx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore %rbx\n"
        "    popq %rbp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore %rbp\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size switch_stack, . - switch_stack\n"
        ".globl switch_begin\n"
        ".hidden switch_begin\n"
        ".type switch_begin, @function\n"
        "switch_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined %rip\n"
        "    movq %r12, %rdi\n"
        "    call *%rbx\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size switch_begin, . - switch_begin\n");
#else
__asm__(".text\n"
        ".globl switch_stack\n"
        ".hidden switch_stack\n"
        ".type switch_stack, %function\n"
        "switch_stack:\n"
        "    .cfi_startproc\n"
        "    sub sp, sp, #160\n"
        "    .cfi_adjust_cfa_offset 160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    .cfi_rel_offset x19, 0\n"
        "    .cfi_rel_offset x20, 8\n"
        "    stp x21, x22, [sp, #16]\n"
        "    .cfi_rel_offset x21, 16\n"
        "    .cfi_rel_offset x22, 24\n"
        "    stp x23, x24, [sp, #32]\n"
        "    .cfi_rel_offset x23, 32\n"
        "    .cfi_rel_offset x24, 40\n"
        "    stp x25, x26, [sp, #48]\n"
        "    .cfi_rel_offset x25, 48\n"
        "    .cfi_rel_offset x26, 56\n"
        "    stp x27, x28, [sp, #64]\n"
        "    .cfi_rel_offset x27, 64\n"
        "    .cfi_rel_offset x28, 72\n"
        "    stp x29, x30, [sp, #80]\n"
        "    .cfi_rel_offset x29, 80\n"
        "    .cfi_rel_offset x30, 88\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    .cfi_adjust_cfa_offset -160\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size switch_stack, . - switch_stack\n"
        ".globl switch_begin\n"
        ".hidden switch_begin\n"
        ".type switch_begin, %function\n"
        "switch_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    mov x0, x20\n"
        "    blr x19\n"
        "    brk #0\n"
        "    .cfi_endproc\n"
        ".size switch_begin, . - switch_begin\n");
#endif

void switch_begin(void);

struct switch_frame *switch_prepare(char *top, void (*fn)(void *arg), void *arg)
{
    /* Aligned for a call once the frame is off the stack. */
    struct switch_frame *frame = (struct switch_frame *)((uintptr_t)top & ~(uintptr_t)15) - 1;

#if defined(__x86_64__)
    *frame = (struct switch_frame){.r12 = arg, .rbx = (void *)(uintptr_t)fn, .rip = (void *)(uintptr_t)switch_begin};
#else
    *frame = (struct switch_frame){.x20 = arg, .x19 = (void *)(uintptr_t)fn, .pc = (void *)(uintptr_t)switch_begin};
#endif
    return frame;
}

#endif
