/* uselocale: it is noted that it is called, so that fibers keep their locales only where there are any. */
#include <locale.h>

#include "context/propagate/linked.h"
#include "context/propagate/propagate.h"
#include "context/task/thread_state.h"

PROPAGATE_LINKED(locales);

PROPAGATE_EXPORT locale_t uselocale(locale_t locale)
{
    __atomic_store_n(&thread_state_has_locales, true, __ATOMIC_RELAXED);
    return REAL(uselocale)(locale);
}
