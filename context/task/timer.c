#include "context/task/timer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "context/time.h"

enum { CAPACITY_MIN = 64 };

/* Places count from 1, so that a timer with place 0 is stopped; timers[0] is not used. */

static bool fires_before(const struct timer *one, const struct timer *other)
{
    if (one->deadline_us != other->deadline_us)
        return one->deadline_us < other->deadline_us;
    return one->serial < other->serial;
}

static void put(struct timer_heap *heap, struct timer *timer, size_t place)
{
    heap->timers[place] = timer;
    timer->place = place;
}

static void sift_up(struct timer_heap *heap, struct timer *timer, size_t place)
{
    for (; place > 1 && fires_before(timer, heap->timers[place / 2]); place /= 2)
        put(heap, heap->timers[place / 2], place);
    put(heap, timer, place);
}

static void sift_down(struct timer_heap *heap, struct timer *timer, size_t place)
{
    for (;;) {
        size_t child = place * 2;

        if (child > heap->count)
            break;
        if (child < heap->count && fires_before(heap->timers[child + 1], heap->timers[child]))
            child++;
        if (!fires_before(heap->timers[child], timer))
            break;
        put(heap, heap->timers[child], place);
        place = child;
    }
    put(heap, timer, place);
}

void timer_heap_done(struct timer_heap *heap)
{
    free(heap->timers);
    *heap = (struct timer_heap){0};
}

static int resize(struct timer_heap *heap, size_t capacity)
{
    struct timer **timers = realloc(heap->timers, capacity * sizeof(struct timer *));

    if (!timers)
        return -ENOMEM;
    heap->timers = timers;
    heap->capacity = capacity;
    return 0;
}

int timer_start(struct timer_heap *heap, struct timer *timer, int64_t deadline_us)
{
    assert(timer->place == 0);
    if (heap->count + 1 >= heap->capacity) {
        int r = resize(heap, heap->capacity ? heap->capacity * 2 : CAPACITY_MIN);
        if (r < 0)
            return r;
    }
    timer->deadline_us = deadline_us;
    timer->serial = ++heap->serial;
    sift_up(heap, timer, ++heap->count);
    return 0;
}

void timer_stop(struct timer_heap *heap, struct timer *timer)
{
    size_t place = timer->place;

    if (place == 0)
        return;
    timer->place = 0;

    struct timer *last = heap->timers[heap->count--];
    if (last != timer && place > 1 && fires_before(last, heap->timers[place / 2]))
        sift_up(heap, last, place);
    else if (last != timer)
        sift_down(heap, last, place);
    /* After a peak. Where that cannot be done, the heap is larger than it need be. */
    if (heap->capacity > CAPACITY_MIN && heap->count < heap->capacity / 4)
        (void)!resize(heap, heap->capacity / 2);
}

struct timer *timer_first(const struct timer_heap *heap)
{
    return heap->count > 0 ? heap->timers[1] : NULL;
}

int64_t timer_deadline_in(uint64_t milliseconds)
{
    return time_steady_us() + (int64_t)(milliseconds < TIMER_MAX_MS ? milliseconds : TIMER_MAX_MS) * 1000;
}
