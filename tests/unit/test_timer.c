/* The heap of timers: in which order they fire, against a naive model. */
#include <stdlib.h>

#include "context/task/timer.h"
#include "tests/support/expect.h"

enum { TIMERS = 300, STEPS = 60000, DEADLINES = 40 };

static void never(struct timer *timer)
{
    (void)timer;
}

/* Takes the first timer off and gives it. */
static struct timer *pop(struct timer_heap *heap)
{
    struct timer *first = timer_first(heap);

    timer_stop(heap, first);
    return first;
}

static void an_empty_heap_has_no_first(void **state)
{
    struct timer_heap heap = {0};
    struct timer timer = {.fire = never};

    (void)state;
    EXPECT(timer_first(&heap) == NULL);
    timer_stop(&heap, &timer); /* never started */
    EXPECT_EQUAL(timer_start(&heap, &timer, 5), 0);
    EXPECT(timer_first(&heap) == &timer);
    timer_stop(&heap, &timer);
    timer_stop(&heap, &timer);
    EXPECT(timer_first(&heap) == NULL);
    timer_heap_done(&heap);
    timer_heap_done(&heap);
}

static void timers_fire_in_the_order_of_their_deadlines(void **state)
{
    static const int64_t deadlines[] = {7, -3, 12, 0, INT64_MAX, 5, INT64_MIN, 6};
    enum { COUNT = sizeof(deadlines) / sizeof(*deadlines) };
    struct timer timers[COUNT] = {0};
    struct timer_heap heap = {0};
    int64_t last = INT64_MIN;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        EXPECT_EQUAL(timer_start(&heap, &timers[i], deadlines[i]), 0);
    for (size_t i = 0; i < COUNT; i++) {
        const struct timer *first = pop(&heap);

        EXPECT(first->deadline_us >= last);
        last = first->deadline_us;
    }
    EXPECT_EQUAL(last, INT64_MAX);
    timer_heap_done(&heap);
}

static void timers_of_one_deadline_fire_in_the_order_of_their_start(void **state)
{
    static struct timer timers[TIMERS];
    struct timer_heap heap = {0};

    (void)state;
    for (size_t i = 0; i < TIMERS; i++)
        EXPECT_EQUAL(timer_start(&heap, &timers[i], 1000), 0);
    timer_stop(&heap, &timers[0]); /* started again, it is the last */
    EXPECT_EQUAL(timer_start(&heap, &timers[0], 1000), 0);
    for (size_t i = 1; i < TIMERS; i++)
        EXPECT(pop(&heap) == &timers[i]);
    EXPECT(pop(&heap) == &timers[0]);
    timer_heap_done(&heap);
}

static void a_heap_that_a_peak_has_left_shrinks(void **state)
{
    enum { PEAK = 5000 };
    static struct timer timers[PEAK];
    struct timer_heap heap = {0};

    (void)state;
    for (size_t i = 0; i < PEAK; i++)
        EXPECT_EQUAL(timer_start(&heap, &timers[i], (int64_t)(i * 7919 % PEAK)), 0);
    size_t peak = heap.capacity;
    EXPECT(peak > PEAK);
    for (size_t i = 0; i < PEAK - 10; i++)
        EXPECT_EQUAL(pop(&heap)->deadline_us, i);
    EXPECT(heap.capacity <= peak / 16);
    for (size_t i = PEAK - 10; i < PEAK; i++)
        EXPECT_EQUAL(pop(&heap)->deadline_us, i);
    timer_heap_done(&heap);
}

/* ---- Against a model ---- */

/* Started timers in the order of their start. */
struct model {
    struct timer *started[TIMERS];
    size_t count;
};

static struct timer *model_first(const struct model *model)
{
    struct timer *first = NULL;

    for (size_t i = 0; i < model->count; i++)
        if (!first || model->started[i]->deadline_us < first->deadline_us)
            first = model->started[i];
    return first;
}

static void model_remove(struct model *model, const struct timer *timer)
{
    size_t kept = 0;

    for (size_t i = 0; i < model->count; i++)
        if (model->started[i] != timer)
            model->started[kept++] = model->started[i];
    model->count = kept;
}

static void step(struct timer_heap *heap, struct model *model, struct timer *timer, unsigned dice)
{
    if (timer->place == 0) {
        EXPECT_EQUAL(timer_start(heap, timer, dice % DEADLINES), 0);
        model->started[model->count++] = timer;
    } else if (dice % 3 == 0) {
        timer = pop(heap);
        model_remove(model, timer);
    } else {
        timer_stop(heap, timer);
        model_remove(model, timer);
    }
}

static void random_starts_and_stops_give_what_a_naive_model_gives(void **state)
{
    static struct timer timers[TIMERS];
    struct timer_heap heap = {0};
    struct model model = {0};
    unsigned seed = 20251123;

    (void)state;
    for (int i = 0; i < STEPS; i++) {
        size_t which = (size_t)rand_r(&seed) % TIMERS;

        step(&heap, &model, &timers[which], (unsigned)rand_r(&seed));
        EXPECT_EQUAL(heap.count, model.count);
        EXPECT(timer_first(&heap) == model_first(&model));
    }
    while (model.count > 0) {
        struct timer *first = model_first(&model);

        EXPECT(pop(&heap) == first);
        model_remove(&model, first);
    }
    timer_heap_done(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(an_empty_heap_has_no_first),
        EXPECT_TEST(timers_fire_in_the_order_of_their_deadlines),
        EXPECT_TEST(timers_of_one_deadline_fire_in_the_order_of_their_start),
        EXPECT_TEST(a_heap_that_a_peak_has_left_shrinks),
        EXPECT_TEST(random_starts_and_stops_give_what_a_naive_model_gives),
    };

    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
