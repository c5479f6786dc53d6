/* Runs, scopes and captured contexts: everything that makes a context current, and takes it away again. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <weft/context.h>
#include <weft/log.h>

#include "context/async/operation.h"
#include "context/current.h"
#include "context/fork_lock.h"
#include "context/frame.h"
#include "context/hash.h"
#include "context/lock.h"
#include "context/machinery.h"
#include "context/name.h"
#include "context/propagate/linked.h"

/* No program has a current context without the wrappers that make it follow. */
static const char *const *const wrappers __attribute__((used)) = propagate_anchor;

_Thread_local struct current current_state;
_Thread_local struct current_scope *current_idle_scopes;

/* Tells scopes apart for good, on all threads, so that one that has ended or is another thread's is never mistaken for
 * an open one. */
static atomic_uint_fast64_t last_serial;

/* In place of the serial of a scope that could not be made. */
#define SERIAL_OF_SEALED UINT64_MAX

/* ---- Entering and leaving ---- */

struct current_scope *current_more_scopes(void)
{
    enum { AT_HAND = 8 };
    static _Thread_local struct current_scope at_hand[AT_HAND];
    static _Thread_local bool is_handed_out;

    if (!is_handed_out) {
        is_handed_out = true;
        for (int i = 1; i < AT_HAND; i++) {
            at_hand[i].outer = current_idle_scopes;
            current_idle_scopes = &at_hand[i];
        }
        return &at_hand[0];
    }
    struct current_scope *scope = malloc(sizeof(*scope));
    if (scope)
        scope->place = CURRENT_ON_HEAP;
    return scope;
}

void current_end_forgotten(const struct current_scope *outermost)
{
    unsigned scopes = 0, runs = 0;

    while (current_state.scopes != outermost) {
        if (current_state.scopes->serial == CURRENT_RUN)
            runs++;
        else
            scopes++;
        current_pop_scope();
    }
    if (scopes > 0)
        weft_warn("%u scope(s) were left open and have been ended: each weft_scope_begin() needs its weft_scope_end()",
                  scopes);
    if (runs > 0)
        weft_warn("%u run(s) were left by longjmp() and have been ended only now: until then their values were seen by "
                  "code outside of them",
                  runs);
}

void current_release(void (*release)(void *pointer), void *pointer)
{
    struct current saved;

    current_enter(&saved, NULL);
    release(pointer);
    current_leave(&saved);
}

/* ---- Reading ---- */

static bool find(const char *name, struct frame_found *ret_found)
{
    if (!current_state.context || !name)
        return false;

    struct frame_key key = frame_key(name);
    return frame_find(current_state.context, &key, ret_found);
}

const char *(weft_get)(const char *name)
{
    struct frame_found found;

    return find(name, &found) ? found.text : NULL;
}

/* What a thread remembers of the names that are written in the code, by their addresses. A literal's bytes do not
 * change while it is loaded, and what a frame with the same serial holds does not either. */
enum { LITERAL_BITS = 5, LITERALS = 1 << LITERAL_BITS };

struct literal {
    const char *name; /* NULL: nothing. Another thread may set it to that */
    uint64_t serial;
    const char *value;
};

struct literals {
    struct literal remembered[LITERALS];
    bool is_listed;
    LIST_ENTRY(literals) everywhere;
};

static _Thread_local struct literals literals;

/* Those of all threads. */
static LIST_HEAD(, literals) literals_everywhere;
static pthread_mutex_t literals_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t literals_once = PTHREAD_ONCE_INIT;
static pthread_key_t literals_key;
static bool literals_have_key;

FORK_LOCK(literals_lock, FORK_LOCK_INNER);

/* When its thread ends. */
static void unlist(void *arg)
{
    struct literals *ended = arg;

    lock_take(&literals_lock);
    LIST_REMOVE(ended, everywhere);
    lock_give(&literals_lock);
    ended->is_listed = false;
}

static void make_key(void)
{
    literals_have_key = pthread_key_create(&literals_key, unlist) == 0;
}

/* Gives false where a thread's end could not be noticed: then nothing may be remembered. */
static bool list(void)
{
    if (literals.is_listed)
        return true;
    (void)pthread_once(&literals_once, make_key);
    if (!literals_have_key || pthread_setspecific(literals_key, &literals) != 0)
        return false;
    lock_take(&literals_lock);
    LIST_INSERT_HEAD(&literals_everywhere, &literals, everywhere);
    lock_give(&literals_lock);
    literals.is_listed = true;
    return true;
}

void current_forget_literals(void)
{
    struct literals *each;

    lock_take(&literals_lock);
    LIST_FOREACH (each, &literals_everywhere, everywhere)
        for (size_t i = 0; i < LITERALS; i++)
            __atomic_store_n(&each->remembered[i].name, NULL, __ATOMIC_RELAXED);
    lock_give(&literals_lock);
}

/* Apart, so that what is remembered is given without a frame of its own. */
__attribute__((noinline, cold)) static const char *look_up_literal(struct literal *literal, const char *name,
                                                                   uint64_t serial)
{
    const char *value = (weft_get)(name);

    if (!list())
        return value;
    literal->serial = serial;
    literal->value = value;
    __atomic_store_n(&literal->name, name, __ATOMIC_RELAXED);
    return value;
}

/* Its few instructions are to be in as few lines of the cache as they fit. */
__attribute__((aligned(64))) const char *weft_get_literal_(const char *name)
{
    const struct weft_context *context = current_state.context;

    if (!context)
        return NULL;
    struct literal *literal = &literals.remembered[hash_pointer(name, LITERAL_BITS)];
    uint64_t serial = context->serial;
    if (__builtin_expect(__atomic_load_n(&literal->name, __ATOMIC_RELAXED) != name || literal->serial != serial, 0))
        return look_up_literal(literal, name, serial);
    return literal->value;
}

const void *weft_get_bytes(const char *name, size_t *ret_size)
{
    struct frame_found found;

    if (!find(name, &found) || !found.text)
        return NULL;
    if (ret_size)
        *ret_size = found.size;
    return found.text;
}

void *weft_get_pointer(const char *name)
{
    struct frame_found found;

    return find(name, &found) ? found.pointer : NULL;
}

int weft_each(int (*visit)(const char *name, const char *value, size_t size, void *arg), void *arg)
{
    /* The visitor may set values, which must not pull the frame away from under the walk. */
    struct weft_context *frame = weft_capture();
    int r = frame_each(frame, visit, arg);

    (void)weft_context_unref(frame);
    return r;
}

/* ---- Writing ---- */

static int change(const char *name, const struct frame_change *wanted)
{
    if (!(current_state.rights & CURRENT_WRITES))
        return -EPERM;
    if (current_state.rights & CURRENT_SEALED)
        return -ENOMEM;

    struct frame_key key = frame_key(name);
    int r = frame_change(&current_state.context, &key, wanted);
    if (current_state.rights == CURRENT_WRITES_LENT)
        operation_follow_lent(current_state.operation, current_state.context);
    return r;
}

static int change_for_user(const char *name, const struct frame_change *wanted)
{
    if (!name || !name_is_valid(name, strlen(name)) || name_is_own(name, strlen(name)))
        return -EINVAL;
    return change(name, wanted);
}

int current_set_own(const char *name, const char *value)
{
    struct frame_change wanted = {.kind = FRAME_ABSENT};

    if (value)
        wanted = (struct frame_change){.kind = FRAME_TEXT, .data = value, .size = strlen(value)};
    return change(name, &wanted);
}

int weft_set(const char *name, const char *value)
{
    return value ? weft_set_bytes(name, value, strlen(value)) : weft_unset(name);
}

int weft_set_bytes(const char *name, const void *value, size_t size)
{
    if (!value)
        return weft_unset(name);
    return change_for_user(name, &(struct frame_change){.kind = FRAME_TEXT, .data = value, .size = size});
}

int weft_set_pointer(const char *name, void *pointer, void (*release)(void *pointer))
{
    return change_for_user(name, &(struct frame_change){.kind = FRAME_POINTER, .pointer = pointer, .release = release});
}

int weft_unset(const char *name)
{
    return change_for_user(name, &(struct frame_change){.kind = FRAME_ABSENT});
}

/* ---- Runs ---- */

MACHINERY int weft_run_in(struct weft_context *context, int (*fn)(void *arg), void *arg)
{
    struct current_scope spare;
    struct current_scope *run CURRENT_RUN_ENDS = current_begin_run(frame_ref(context), &spare);

    return fn(arg);
}

MACHINERY int weft_run(int (*fn)(void *arg), void *arg)
{
    return weft_run_in(current_state.context, fn, arg);
}

MACHINERY int weft_exit(int (*fn)(void *arg), void *arg)
{
    return weft_run_in(NULL, fn, arg);
}

MACHINERY int weft_run_with(const char *name, const char *value, int (*fn)(void *arg), void *arg)
{
    struct current_scope spare;
    struct current_scope *run CURRENT_RUN_ENDS = current_begin_run(frame_ref(current_state.context), &spare);
    int result = weft_set(name, value);

    return result == 0 ? fn(arg) : result;
}

/* ---- Scopes ---- */

void weft_scope_begin(struct weft_scope *scope)
{
    struct current_scope *begun = current_new_scope();

    if (!begun) {
        current_state.rights++;
        scope->serial = SERIAL_OF_SEALED;
        return;
    }
    scope->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    current_push_scope(begun, weft_capture(), scope->serial);
}

void weft_scope_begin_in(struct weft_scope *scope, struct weft_context *context)
{
    struct weft_context *outer = current_state.context;

    weft_scope_begin(scope);
    /* Without a scope nothing would bring the outer context back. */
    if (scope->serial == SERIAL_OF_SEALED)
        return;
    current_state.context = weft_context_ref(context);
    (void)weft_context_unref(outer);
}

int weft_scope_end(struct weft_scope *scope)
{
    if (!scope)
        return 0;
    if (scope->serial == SERIAL_OF_SEALED && (current_state.rights & CURRENT_SEALED) > 0) {
        current_state.rights--;
        scope->serial = 0;
        return 0;
    }
    const struct current_scope *open = current_state.scopes;
    /* Those of the run around this one are not this one's to end. */
    while (open && open->serial != CURRENT_RUN && open->serial != scope->serial)
        open = open->outer;
    if (!open || open->serial == CURRENT_RUN)
        return -EINVAL;

    int result = 0;
    for (; current_state.scopes->serial != scope->serial; result = -EINVAL)
        current_pop_scope();
    current_pop_scope();
    scope->serial = 0;
    return result;
}

/* ---- Captured ---- */

struct weft_context *weft_capture(void)
{
    return weft_context_ref(current_state.context);
}
