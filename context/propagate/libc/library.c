/* dlclose: what is remembered by an address is forgotten before something else can be there. */
#include <dlfcn.h>

#include "context/propagate/libc/sanitizer.h"
#include "context/propagate/linked.h"

PROPAGATE_LINKED(libraries);

SANITIZED(dlclose);

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
