#include "context/propagate/at_root.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <weft/log.h>

#include "context/async/code_address.h"
#include "context/fork_lock.h"
#include "context/lock.h"
#include "context/propagate/propagate.h"

/* So many places are named in a process. */
enum { PLACES_MAX = 1000, SLOTS = 2048 };

bool at_root_is_watched;

/* A hash set of pairs of where a callback was armed and what it is. */
static struct {
    pthread_mutex_t lock;
    struct {
        const void *place, *callback;
    } slots[SLOTS];
    unsigned count;
} named = {.lock = PTHREAD_MUTEX_INITIALIZER};

FORK_LOCK(named.lock, FORK_LOCK_INNER);

enum novelty { IS_KNOWN, IS_NEW, IS_NEW_AND_LAST };

static enum novelty note(const void *place, const void *callback)
{
    size_t slot = (((uintptr_t)place ^ ((uintptr_t)callback << 17)) * UINT64_C(0x9E3779B97F4A7C15)) >> 53;
    enum novelty novelty = IS_KNOWN;

    lock_take_briefly(&named.lock);
    while (named.slots[slot].place && (named.slots[slot].place != place || named.slots[slot].callback != callback))
        slot = (slot + 1) % SLOTS;
    if (!named.slots[slot].place && named.count < PLACES_MAX) {
        named.slots[slot].place = place;
        named.slots[slot].callback = callback;
        novelty = ++named.count == PLACES_MAX ? IS_NEW_AND_LAST : IS_NEW;
    }
    lock_give_briefly(&named.lock);
    return novelty;
}

/* Where the callback is not known, it is what has armed it that is a plugin's or not. */
static void name_callback(const struct operation *operation)
{
    const struct operation_class *class = operation->class;
    const void *callback = class->callback ? class->callback(operation) : NULL;
    const void *place = operation->info.place;
    char what[CODE_ADDRESS_SIZE] = "unknown", where[CODE_ADDRESS_SIZE];

    if (!place || !propagate_is_plugins(callback ? callback : place))
        return;
    enum novelty novelty = note(place, callback);
    if (novelty == IS_KNOWN)
        return;
    if (callback)
        code_address_describe((const char *)callback + 1, what);
    code_address_describe(place, where);
    weft_log_with(WEFT_WARN, "a callback of a plugin ran at the root, for no job", WEFT_TEXT("kind", class->kind),
                  WEFT_TEXT("callback", what), WEFT_TEXT("armed_at", where));
    if (novelty == IS_NEW_AND_LAST)
        weft_log_with(WEFT_WARN, "further callbacks that run at the root are not named", WEFT_INT("named", PLACES_MAX));
}

void at_root_watch(void)
{
    at_root_is_watched = true;
    operation_watch_root(name_callback);
}
