#include "context/lock.h"

_Thread_local unsigned uncancellable_depth;
_Thread_local int uncancellable_before;
