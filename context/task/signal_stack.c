#include "context/task/signal_stack.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "context/macros.h"

/* Room for a handler that walks other stacks, beyond what the kernel stores of the registers. */
enum { HANDLER_SIZE = 64 * 1024 };

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

void signal_stack_others(sigset_t *ret_set)
{
    (void)sigfillset(ret_set);
    for (size_t i = 0; i < ELEMENTS(faults); i++)
        (void)sigdelset(ret_set, faults[i]);
}

int signal_stack_init(struct signal_stack *stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = ROUND_UP((size_t)sysconf(_SC_MINSIGSTKSZ) + HANDLER_SIZE, page);

    *stack = (struct signal_stack){.size = page + usable};
    void *memory = mmap(NULL, stack->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    (void)mprotect(memory, page, PROT_NONE);
    if (sigaltstack(&(stack_t){.ss_sp = (char *)memory + page, .ss_size = usable}, &stack->before) < 0) {
        (void)munmap(memory, stack->size);
        return -ENOMEM;
    }
    stack->memory = memory;
    return 0;
}

void signal_stack_done(struct signal_stack *stack)
{
    if (!stack->memory)
        return;
    (void)sigaltstack(&stack->before, NULL);
    (void)munmap(stack->memory, stack->size);
    stack->memory = NULL;
}
