#include "handlers/retry.h"

#include <assert.h>

int64_t retry_delay_ms(const struct retry_backoff *backoff, unsigned attempt, double random)
{
    assert(attempt > 0 && random >= 0 && random < 1);
    int64_t delay = backoff->base_ms < backoff->max_ms ? backoff->base_ms : backoff->max_ms;

    for (unsigned i = 1; i < attempt && delay < backoff->max_ms; i++)
        delay = delay > backoff->max_ms / 2 ? backoff->max_ms : delay * 2;

    double varied = (double)delay * (1 + backoff->jitter * (2 * random - 1));
    return varied < 0 ? 0 : (int64_t)varied;
}
