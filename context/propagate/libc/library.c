/*
 * dlopen: it is noted that something may have been loaded, such as another C++ runtime.
 * dlclose: what is remembered by an address is forgotten before something else can be there.
 */
#include <dlfcn.h>

#include "context/propagate/libc/sanitizer.h"
#include "context/propagate/linked.h"
#include "context/task/thread_state.h"

PROPAGATE_LINKED(libraries);

SANITIZED(dlopen);
SANITIZED(dlclose);

/* The dynamic linker looks at the return address for who calls it, and so for the paths that are to be searched: the
 * real function must be jumped to, and not called. Sanitizers put a call in between in any case. */
#if defined(__clang__)
#define JUMPS
#define JUMP_TO __attribute__((musttail)) return
#else
#define JUMPS   __attribute__((optimize("O2")))
#define JUMP_TO return
#endif

PROPAGATE_EXPORT JUMPS void *dlopen(const char *file, int mode)
{
    __typeof__(&dlopen) real = REAL_OR_SANITIZED(dlopen);

    (void)__atomic_fetch_add(&thread_state_loads, 1, __ATOMIC_RELEASE);
    JUMP_TO real(file, mode);
}

void propagate_close(void *library)
{
    (void)REAL_OR_SANITIZED(dlclose)(library);
}

/* Before, because another thread may load something else as soon as it is unmapped; after, because the library's
 * destructors may have had something remembered. */
PROPAGATE_EXPORT int dlclose(void *library)
{
    current_forget_literals();
    int r = REAL_OR_SANITIZED(dlclose)(library);
    current_forget_literals();
    propagate_forget_unloaded();
    return r;
}
