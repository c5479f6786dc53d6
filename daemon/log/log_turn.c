#include "daemon/log/log_turn.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "context/time.h"

/* More than reloads that overlap can need, each of which has a few outputs. */
enum { TURNS_MAX = 256 };

/* How long a turn is left to a process that is gone: the supervisor, which can end a worker's line, comes first. */
#define RESCUE_US (2 * INT64_C(1000000))

/* In shared memory. Only numbers, of which none makes a process that believes it fall. */
struct log_turn {
    _Atomic uint64_t owner;  /* process ID, and the buffers' in the lower half; 0: nobody */
    _Atomic int64_t dead_us; /* since when the owner is known to be gone; CLOCK_MONOTONIC, 0: it is not */
    atomic_bool torn;
    atomic_bool gone;
    atomic_bool told;
};

/* Made by the supervisor, the only process that adds and takes away. */
static struct {
    struct log_turn *turns;
    struct {
        uint64_t device, number;
        unsigned users;
    } names[TURNS_MAX];
} table;

int log_turn_new(uint64_t device, uint64_t number, struct log_turn **ret_turn)
{
    size_t unused = TURNS_MAX;

    if (!table.turns) {
        void *memory =
            mmap(NULL, TURNS_MAX * sizeof(struct log_turn), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
            return -ENOMEM;
        table.turns = memory;
    }
    for (size_t i = 0; i < TURNS_MAX; i++) {
        bool used = table.names[i].users > 0;

        if (used && table.names[i].device == device && table.names[i].number == number) {
            table.names[i].users++;
            *ret_turn = &table.turns[i];
            return 0;
        }
        if (!used && unused == TURNS_MAX)
            unused = i;
    }
    if (unused == TURNS_MAX)
        return -ENFILE;
    table.names[unused].device = device;
    table.names[unused].number = number;
    table.names[unused].users = 1;
    table.turns[unused] = (struct log_turn){.owner = 0};
    *ret_turn = &table.turns[unused];
    return 0;
}

struct log_turn *log_turn_unref(struct log_turn *turn)
{
    if (turn) {
        assert(table.names[turn - table.turns].users > 0);
        table.names[turn - table.turns].users--;
    }
    return NULL;
}

/* ---- Taking turns ---- */

/* A process that holds a turn dies rarely, and more rarely without the supervisor. */
static bool rescue(struct log_turn *turn, uint64_t owner, uint64_t own)
{
    int64_t now_us = time_steady_us(), since_us = atomic_load(&turn->dead_us);

    if (kill((pid_t)(owner >> 32), 0) == 0 || errno != ESRCH) {
        if (since_us != 0)
            atomic_store(&turn->dead_us, 0);
        return false;
    }
    if (since_us == 0)
        atomic_store(&turn->dead_us, now_us);
    if (since_us == 0 || now_us - since_us < RESCUE_US || !atomic_compare_exchange_strong(&turn->owner, &owner, own))
        return false;
    atomic_store(&turn->dead_us, 0);
    log_turn_tear(turn);
    return true;
}

enum log_turn_state log_turn_take(struct log_turn *turn, uint32_t id)
{
    uint64_t own = (uint64_t)getpid() << 32 | id, owner = 0;

    if (atomic_compare_exchange_strong(&turn->owner, &owner, own)) {
        /* What was seen of an earlier owner's death says nothing of this one. */
        if (atomic_load_explicit(&turn->dead_us, memory_order_relaxed) != 0)
            atomic_store(&turn->dead_us, 0);
        return LOG_TURN_TAKEN;
    }
    if (owner == own)
        return LOG_TURN_KEPT;
    /* Begun by a worker that is gone; its buffers are the supervisor's now. */
    if (id != 0 && (uint32_t)owner == id && atomic_compare_exchange_strong(&turn->owner, &owner, own))
        return LOG_TURN_KEPT;
    return rescue(turn, owner, own) ? LOG_TURN_TAKEN : LOG_TURN_OTHERS;
}

void log_turn_give(struct log_turn *turn)
{
    atomic_store(&turn->owner, 0);
}

bool log_turn_belongs_to(const struct log_turn *turn, uint32_t id)
{
    return id != 0 && (uint32_t)atomic_load(&turn->owner) == id;
}

void log_turn_abandon(struct log_turn *turn, uint32_t id)
{
    uint64_t owner = atomic_load(&turn->owner);

    if (!log_turn_belongs_to(turn, id))
        return;
    log_turn_tear(turn);
    (void)atomic_compare_exchange_strong(&turn->owner, &owner, 0);
}

/* ---- What is known of the output ---- */

void log_turn_tear(struct log_turn *turn)
{
    atomic_store(&turn->torn, true);
}

bool log_turn_is_torn(struct log_turn *turn)
{
    return atomic_load_explicit(&turn->torn, memory_order_relaxed) && atomic_exchange(&turn->torn, false);
}

bool log_turn_is_gone(const struct log_turn *turn)
{
    return atomic_load_explicit(&turn->gone, memory_order_relaxed);
}

void log_turn_set_gone(struct log_turn *turn, bool gone)
{
    if (log_turn_is_gone(turn) == gone)
        return;
    atomic_store(&turn->gone, gone);
    if (!gone)
        atomic_store(&turn->told, false);
}

bool log_turn_is_to_tell(struct log_turn *turn)
{
    return log_turn_is_gone(turn) && !atomic_load(&turn->told) && !atomic_exchange(&turn->told, true);
}
