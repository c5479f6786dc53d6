/* The parts that need no Redis: the read scheduler and its shares, the set of entries, packed values, times, the arena.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/consumer/read_scheduler.h"
#include "queue/entry.h"
#include "queue/redis/arena.h"
#include "queue/redis/msgpack.h"

static void places_are_shared_out_by_weight_over_many_small_rounds(void **state)
{
    struct read_share shares[] = {{.weight = 5, .most = 9}, {.weight = 1, .most = 9}, {.weight = 2, .most = 9}};
    struct sharing sharing = {.shares = shares, .count = 3};
    unsigned totals[3] = {0};

    (void)state;
    for (int round = 0; round < 80; round++) {
        assert_int_equal(read_share_out(&sharing, 1, 1), 1);
        for (int i = 0; i < 3; i++)
            totals[i] += shares[i].places;
    }
    assert_int_equal(totals[0], 50);
    assert_int_equal(totals[1], 10);
    assert_int_equal(totals[2], 20);
}

static void large_rounds_are_fair_over_time_and_serve_few_queues_each(void **state)
{
    enum { QUEUES = 1000, ROUNDS = 1000, PLACES = 256 };
    struct read_share *shares = calloc(QUEUES, sizeof(*shares));
    struct sharing sharing = {.shares = shares, .count = QUEUES};
    unsigned *totals = calloc(QUEUES, sizeof(*totals));

    (void)state;
    for (int i = 0; i < QUEUES; i++)
        shares[i] = (struct read_share){.weight = i == 0 ? 10 : 1, .most = PLACES};
    for (int round = 0; round < ROUNDS; round++) {
        int served = 0;

        assert_int_equal(read_share_out(&sharing, PLACES, PLACES), PLACES);
        for (int i = 0; i < QUEUES; i++) {
            totals[i] += shares[i].places;
            served += shares[i].places > 0;
        }
        assert_in_range(served, 1, 8);
    }
    /* 256,000 places by 1,009 shares, give or take some portions. */
    assert_in_range(totals[0], 2537 - 320, 2537 + 320);
    for (int i = 1; i < QUEUES; i++)
        assert_in_range(totals[i], 253 - 64, 253 + 64);
    free(totals);
    free(shares);
}

static void small_rounds_serve_one_of_many_queues_each_and_are_fair_over_time(void **state)
{
    enum { QUEUES = 9, ROUNDS = 900, PLACES = 20 };
    struct read_share shares[QUEUES];
    struct sharing sharing = {.shares = shares, .count = QUEUES};
    unsigned totals[QUEUES] = {0};

    (void)state;
    for (int i = 0; i < QUEUES; i++)
        shares[i] = (struct read_share){.weight = i == 0 ? 2 : 1, .most = PLACES};
    for (int round = 0; round < ROUNDS; round++) {
        int served = 0;

        assert_int_equal(read_share_out(&sharing, PLACES, PLACES), PLACES);
        for (int i = 0; i < QUEUES; i++) {
            totals[i] += shares[i].places;
            served += shares[i].places > 0;
        }
        assert_int_equal(served, 1);
    }
    assert_in_range(totals[0], 3600 - 2 * PLACES, 3600 + 2 * PLACES);
    for (int i = 1; i < QUEUES; i++)
        assert_in_range(totals[i], 1800 - 2 * PLACES, 1800 + 2 * PLACES);
}

static void who_comes_first_among_those_that_are_alike_can_be_chosen(void **state)
{
    struct read_share shares[] = {{.weight = 1, .most = 9}, {.weight = 1, .most = 9}, {.weight = 1, .most = 9}};
    struct sharing sharing = {.shares = shares, .count = 3, .first = 2};
    static const size_t order[] = {2, 0, 1, 2};

    (void)state;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_int_equal(read_share_out(&sharing, 1, 1), 1);
        assert_int_equal(shares[order[i]].places, 1);
    }
}

static void places_that_one_cannot_take_go_to_others(void **state)
{
    struct read_share shares[] = {{.weight = 100, .most = 1}, {.weight = 1, .most = 50}, {.weight = 1, .most = 0}};
    struct sharing sharing = {.shares = shares, .count = 3};

    (void)state;
    assert_int_equal(read_share_out(&sharing, 20, 20), 20);
    assert_int_equal(shares[0].places, 1);
    assert_int_equal(shares[1].places, 19);
    assert_int_equal(shares[2].places, 0);
    assert_int_equal(read_share_out(&sharing, 200, 200), 51);
}

static void own_places_are_not_taken_from_the_common_ones(void **state)
{
    struct read_share shares[] = {{.weight = 1, .most = 10, .own = 3}, {.weight = 1, .most = 2}};
    struct sharing sharing = {.shares = shares, .count = 2};

    (void)state;
    assert_int_equal(read_share_out(&sharing, 5, 2), 5);
    assert_in_range(shares[0].places, 3, 5);
    assert_int_equal(shares[0].places + shares[1].places, 5);
    shares[0].most = 0;
    assert_int_equal(read_share_out(&sharing, 5, 0), 0);
}

static void who_could_take_nothing_for_a_while_has_not_saved_up(void **state)
{
    struct read_share shares[] = {{.weight = 1, .most = 10}, {.weight = 1, .most = 0}};
    struct sharing sharing = {.shares = shares, .count = 2};
    unsigned places = 0;

    (void)state;
    for (int round = 0; round < 100; round++)
        assert_int_equal(read_share_out(&sharing, 8, 8), 8);
    shares[1].most = 10;
    for (int round = 0; round < 10; round++) {
        assert_int_equal(read_share_out(&sharing, 8, 8), 8);
        places += shares[0].places;
    }
    assert_in_range(places, 38, 42);
}

static const struct queue_spec specs[] = {
    {.name = "a", .weight = 1}, {.name = "b", .weight = 1}, {.name = "c", .weight = 1}};
static const size_t nothing_held[3];

static enum read_plan plan(struct read_scheduler *scheduler, unsigned limit, unsigned places, const size_t *held,
                           int64_t now_ms)
{
    const struct read_scheduler_room room = {.limit = limit, .places = places, .held = held};

    return read_scheduler_make_plan(scheduler, &room, now_ms);
}

static void read_scheduler_looks_at_all_queues_before_it_waits_for_them(void **state)
{
    struct read_scheduler *scheduler;

    (void)state;
    assert_int_equal(read_scheduler_new(specs, 2, 0, &scheduler), 0);
    assert_int_equal(plan(scheduler, 4, 10, nothing_held, 1000), READ_ROUND);
    assert_int_equal(read_scheduler_chosen(scheduler), 2);
    assert_int_equal(read_scheduler_each(scheduler), 1);
    assert_int_equal(read_scheduler_count(scheduler, 0), 0);
    read_scheduler_note_read(scheduler, 0, 1, 1);
    read_scheduler_note_read(scheduler, 1, 1, 0);
    assert_false(read_scheduler_is_idle(scheduler));
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 1001), READ_ROUND);
    assert_int_equal(read_scheduler_count(scheduler, 0), 10);
    assert_int_equal(read_scheduler_chosen(scheduler), 0);
    read_scheduler_note_read(scheduler, 0, 10, 10);
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 1100), READ_ROUND);
    assert_int_equal(read_scheduler_count(scheduler, 0), 10);
    assert_true(read_scheduler_is_chosen(scheduler, 1)); /* looked at again after a while */
    assert_false(read_scheduler_is_chosen(scheduler, 0));
    read_scheduler_note_read(scheduler, 0, 10, 8);
    read_scheduler_note_read(scheduler, 1, 1, 0);
    assert_true(read_scheduler_is_idle(scheduler));
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 1101), READ_WAIT);
    assert_int_equal(read_scheduler_chosen(scheduler), 2);
    assert_int_equal(read_scheduler_each(scheduler), 5);
    assert_null(read_scheduler_free(scheduler));
}

static void read_scheduler_waits_for_all_queues_however_few_places_there_are(void **state)
{
    struct read_scheduler *scheduler;

    (void)state;
    assert_int_equal(read_scheduler_new(specs, 3, 0, &scheduler), 0);
    for (size_t i = 0; i < 3; i++)
        read_scheduler_note_read(scheduler, i, 1, 0);
    assert_int_equal(plan(scheduler, 1, 1, nothing_held, 1000), READ_WAIT);
    assert_int_equal(read_scheduler_chosen(scheduler), 3);
    assert_int_equal(read_scheduler_each(scheduler), 1);
    assert_null(read_scheduler_free(scheduler));
}

static void read_scheduler_does_not_look_at_many_queues_at_once_or_all_the_time(void **state)
{
    enum { QUEUES = 1000 };
    struct queue_spec *many = calloc(QUEUES, sizeof(*many));
    size_t *held = calloc(QUEUES, sizeof(*held));
    struct read_scheduler *scheduler;
    int looks = 0, rounds = 0;

    (void)state;
    for (size_t i = 0; i < QUEUES; i++)
        many[i] = (struct queue_spec){.name = "q", .weight = 1};
    assert_int_equal(read_scheduler_new(many, QUEUES, 0, &scheduler), 0);
    for (; plan(scheduler, 4, 1000, held, 1000) == READ_ROUND; rounds++) {
        assert_in_range(read_scheduler_chosen(scheduler), 1, 16);
        for (size_t i = 0; i < QUEUES; i++)
            if (read_scheduler_is_chosen(scheduler, i))
                read_scheduler_note_read(scheduler, i, 1, 0);
    }
    assert_int_equal(rounds, 63);
    assert_int_equal(read_scheduler_chosen(scheduler), QUEUES);
    read_scheduler_note_read(scheduler, 0, 1, 1);
    for (int ms = 0; ms < 1000; ms++) {
        assert_int_equal(plan(scheduler, 256, 1000, held, 2000 + ms), READ_ROUND);
        assert_int_equal(read_scheduler_count(scheduler, 0), 256);
        looks += read_scheduler_chosen(scheduler) > 0;
    }
    assert_in_range(looks, 20, 50);
    assert_null(read_scheduler_free(scheduler));
    free(held);
    free(many);
}

static void read_scheduler_expects_jobs_in_unknown_queues_where_most_have_some(void **state)
{
    enum { QUEUES = 1000 };
    struct queue_spec *many = calloc(QUEUES, sizeof(*many));
    size_t *held = calloc(QUEUES, sizeof(*held));
    bool *known = calloc(QUEUES, sizeof(*known));
    struct read_scheduler *scheduler;
    size_t looked_at = 0, empty = 0;

    (void)state;
    for (size_t i = 0; i < QUEUES; i++)
        many[i] = (struct queue_spec){.name = "q", .weight = 1};
    assert_int_equal(read_scheduler_new(many, QUEUES, 0, &scheduler), 0);
    for (int round = 0; round < 2 * QUEUES && looked_at < QUEUES; round++) {
        assert_int_equal(plan(scheduler, 256, 1000, held, 1000 + round), READ_ROUND);
        /* One look at some, and from then on reads that bring what is worth a command. */
        assert_int_equal(read_scheduler_chosen(scheduler), round == 0 ? 256 : 0);
        for (size_t i = 0; i < QUEUES; i++) {
            unsigned count = read_scheduler_is_chosen(scheduler, i) ? 1 : read_scheduler_count(scheduler, i);

            assert_true(count == 0 || count == (round == 0 ? 1 : 32));
            looked_at += count > 0 && !known[i];
            known[i] = known[i] || count > 0;
            if (count > 0)
                read_scheduler_note_read(scheduler, i, count, count);
        }
    }
    assert_int_equal(looked_at, QUEUES);
    assert_null(read_scheduler_free(scheduler));

    /* The expectation ends where unknown queues turn out to have nothing: the others are looked at together. */
    assert_int_equal(read_scheduler_new(many, QUEUES, 0, &scheduler), 0);
    for (int round = 0; round < 100; round++) {
        assert_int_equal(plan(scheduler, 16, 1000, held, 1000 + 100 * round), READ_ROUND);
        assert_true(round == 0 || read_scheduler_chosen(scheduler) <= 16);
        for (size_t i = 0; i < QUEUES; i++) {
            unsigned count = read_scheduler_is_chosen(scheduler, i) ? 1 : read_scheduler_count(scheduler, i);

            empty += i >= 16 && count > 0 && !read_scheduler_is_chosen(scheduler, i);
            if (count > 0)
                read_scheduler_note_read(scheduler, i, count, i < 16 ? count : 0);
        }
    }
    assert_in_range(empty, 1, 80);
    assert_null(read_scheduler_free(scheduler));
    free(known);
    free(held);
    free(many);
}

static void read_scheduler_leaves_an_ailing_queue_alone_for_a_while(void **state)
{
    struct read_scheduler *scheduler;

    (void)state;
    assert_int_equal(read_scheduler_new(specs, 1, 0, &scheduler), 0);
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 1000), READ_WAIT);
    read_scheduler_leave_alone(scheduler, 0, 2000);
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 1999), READ_NOTHING);
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 2000), READ_ROUND);
    read_scheduler_leave_alone(scheduler, 0, 3000);
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 3000), READ_ROUND);
    read_scheduler_note_read(scheduler, 0, 10, 0);
    assert_int_equal(plan(scheduler, 10, 10, nothing_held, 3001), READ_WAIT);
    assert_null(read_scheduler_free(scheduler));
}

static void read_scheduler_takes_no_more_of_a_queue_than_its_limit_and_leaves_reserved_places_free(void **state)
{
    const struct queue_spec limited[] = {{.name = "a", .weight = 1, .concurrency = 3},
                                         {.name = "b", .weight = 1},
                                         {.name = "c", .weight = 1, .reserve = 4}};
    const size_t full[] = {3, 3, 0}, some[] = {2, 3, 1}, none_left[] = {3, 3, 4};
    struct read_scheduler *scheduler;

    (void)state;
    assert_int_equal(read_scheduler_new(limited, 3, 0, &scheduler), 0);
    for (size_t i = 0; i < 3; i++)
        read_scheduler_note_read(scheduler, i, 1, 1);
    /* 10 places of which 6 are taken: the rest are reserved. */
    assert_int_equal(plan(scheduler, 4, 4, full, 1000), READ_ROUND);
    assert_int_equal(read_scheduler_count(scheduler, 0), 0);
    assert_int_equal(read_scheduler_count(scheduler, 1), 0);
    assert_int_equal(read_scheduler_count(scheduler, 2), 4);
    /* 14 places of which 6 are taken: 3 are reserved, and the first queue gets 1. */
    assert_int_equal(plan(scheduler, 8, 8, some, 1000), READ_ROUND);
    assert_int_equal(read_scheduler_count(scheduler, 0), 1);
    assert_int_equal(read_scheduler_count(scheduler, 0) + read_scheduler_count(scheduler, 1) +
                         read_scheduler_count(scheduler, 2),
                     8);
    assert_true(read_scheduler_count(scheduler, 0) + read_scheduler_count(scheduler, 1) <= 5);
    /* Empty ones are waited for where there is a place for them, and a place for another is noticed. */
    read_scheduler_note_read(scheduler, 2, 1, 0);
    assert_int_equal(plan(scheduler, 4, 4, full, 1000), READ_WAIT);
    assert_int_equal(read_scheduler_chosen(scheduler), 1);
    assert_true(read_scheduler_is_chosen(scheduler, 2));
    assert_false(
        read_scheduler_misses(scheduler, &(struct read_scheduler_room){.limit = 4, .places = 4, .held = full}, 1000));
    assert_true(
        read_scheduler_misses(scheduler, &(struct read_scheduler_room){.limit = 5, .places = 5, .held = some}, 1000));
    assert_int_equal(plan(scheduler, 1, 1, none_left, 1000), READ_ROUND);
    assert_int_equal(read_scheduler_count(scheduler, 1), 1);
    assert_null(read_scheduler_free(scheduler));
}

static void a_set_of_entries_counts_them_by_queue_and_bytes(void **state)
{
    const struct entry_id one = {1, 0}, other = {2, 0};
    struct entry_set set = {0};

    (void)state;
    assert_int_equal(entry_set_prepare(&set, 2), 0);
    assert_int_equal(entry_set_add(&set, 0, one, 1), 1);
    assert_int_equal(entry_set_add(&set, 1, one, 1), 1);
    assert_int_equal(entry_set_add(&set, 1, other, 2), 1);
    entry_set_note_bytes(&set, 1, one, 1000);
    entry_set_note_bytes(&set, 1, other, 30);
    entry_set_note_bytes(&set, 0, other, 7);
    assert_int_equal(set.of_queue[0], 1);
    assert_int_equal(set.of_queue[1], 2);
    assert_int_equal(set.bytes, 1030);
    entry_set_remove(&set, 1, one);
    assert_int_equal(set.of_queue[1], 1);
    assert_int_equal(set.bytes, 30);
    entry_set_remember(&set, true);
    entry_set_remove(&set, 1, other);
    assert_int_equal(set.gone, 1);
    entry_set_remember(&set, false);
    assert_int_equal(set.gone, 0);
    assert_int_equal(set.of_queue[1], 0);
    assert_int_equal(set.bytes, 0);
    assert_int_equal(set.count, 1);
    entry_set_done(&set);
}

static void entry_ids_are_read_and_nothing_else_is(void **state)
{
    struct entry_id id = {0};

    (void)state;
    assert_int_equal(entry_id_parse("1763922000123-18446744073709551615", &id), 0);
    assert_int_equal(id.ms, UINT64_C(1763922000123));
    assert_true(id.sequence == UINT64_MAX);
    assert_int_equal(entry_id_parse("", &id), -EINVAL);
    assert_int_equal(entry_id_parse("12", &id), -EINVAL);
    assert_int_equal(entry_id_parse("12-", &id), -EINVAL);
    assert_int_equal(entry_id_parse("12-3x", &id), -EINVAL);
}

/* Against a table that is as simple as can be. */
static void set_of_entries_holds_what_was_added_and_not_removed(void **state)
{
    enum { IDS = 3000, STEPS = 60000 };
    struct entry_set set = {0};
    bool *there = calloc(IDS, sizeof(*there));
    size_t count = 0;
    unsigned random = 1;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1103515245 + 12345;
        unsigned number = (random >> 8) % IDS;
        struct entry_id id = {1763922000000 + number / 7, number % 7};

        if (random >> 31) {
            assert_int_equal(entry_set_add(&set, number % 3, id, number + 1U), !there[number]);
            count += !there[number];
            there[number] = true;
        } else {
            entry_set_remove(&set, number % 3, id);
            count -= there[number];
            there[number] = false;
        }
        assert_int_equal(set.count, count);
        assert_int_equal(entry_set_serial(&set, number % 3, id), there[number] ? number + 1 : 0);
    }
    assert_true(count > 0);
    entry_set_done(&set);
    free(there);
}

static void entry_that_was_settled_during_a_recovery_is_not_taken_for_a_new_one(void **state)
{
    struct entry_set set = {0};

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(entry_set_add(&set, 0, (struct entry_id){i, 0}, i + 1U), 1);
    entry_set_remember(&set, true);
    for (unsigned i = 0; i < 1000; i += 2)
        entry_set_remove(&set, 0, (struct entry_id){i, 0});
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(entry_set_add(&set, 0, (struct entry_id){i, 0}, i + 1U), 0);
    entry_set_remember(&set, false);
    assert_int_equal(set.count, 500);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(entry_set_add(&set, 0, (struct entry_id){i, 0}, i + 1U), i % 2 == 0);
    entry_set_done(&set);
}

static void set_of_entries_that_grows_during_a_recovery_still_remembers(void **state)
{
    struct entry_set set = {0};

    (void)state;
    assert_int_equal(entry_set_add(&set, 0, (struct entry_id){1, 0}, 1), 1);
    entry_set_remember(&set, true);
    for (unsigned i = 2; i < 1000; i++)
        assert_int_equal(entry_set_add(&set, 0, (struct entry_id){i, 0}, i), 1);
    entry_set_remove(&set, 0, (struct entry_id){1, 0});
    assert_int_equal(entry_set_add(&set, 0, (struct entry_id){1, 0}, 1), 0);
    entry_set_remember(&set, false);
    assert_int_equal(entry_set_add(&set, 0, (struct entry_id){1, 0}, 1), 1);
    entry_set_done(&set);
}

static void set_of_entries_that_a_peak_has_left_shrinks(void **state)
{
    enum { PEAK = 50000, LEFT = 5 };
    struct entry_set set = {0};

    (void)state;
    for (unsigned i = 0; i < PEAK; i++)
        assert_int_equal(entry_set_add(&set, 0, (struct entry_id){i, 0}, i + 1U), 1);
    size_t peak = set.capacity;
    for (unsigned i = LEFT; i < PEAK; i++)
        entry_set_remove(&set, 0, (struct entry_id){i, 0});
    assert_true(set.capacity <= peak / 64);
    assert_int_equal(set.count, LEFT);
    for (unsigned i = 0; i < LEFT; i++)
        assert_int_equal(entry_set_serial(&set, 0, (struct entry_id){i, 0}), i + 1);
    entry_set_done(&set);
}

static void set_of_entries_knows_which_are_settling_and_which_are_lost(void **state)
{
    enum { ENTRIES = 1000 };
    struct entry_set set = {0};

    (void)state;
    assert_int_equal(entry_set_state(&set, 0, (struct entry_id){1, 1}), ENTRY_SETTLING);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        struct entry_id id = {7, i};

        assert_int_equal(entry_set_add(&set, 0, id, i + 1), 1);
        assert_int_equal(entry_set_state(&set, 0, id), ENTRY_HELD);
        entry_set_mark(&set, 0, id, i % 2 == 0 ? ENTRY_LOST : ENTRY_SETTLING);
    }
    entry_set_mark(&set, 1, (struct entry_id){7, 0}, ENTRY_LOST);
    assert_int_equal(set.lost, ENTRIES / 2);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        struct entry_id id = {7, i};

        assert_int_equal(entry_set_state(&set, 0, id), i % 2 == 0 ? ENTRY_LOST : ENTRY_SETTLING);
        assert_int_equal(entry_set_add(&set, 0, id, i + 1), 0);
        assert_int_equal(entry_set_state(&set, 0, id), i % 2 == 0 ? ENTRY_HELD : ENTRY_SETTLING);
        entry_set_mark(&set, 0, id, ENTRY_LOST);
        entry_set_remove(&set, 0, id);
    }
    assert_int_equal(set.count, 0);
    assert_int_equal(set.lost, 0);
    entry_set_done(&set);
}

static void values_are_packed_as_messagepack_has_it(void **state)
{
    struct msgpack msgpack = {0};
    char text[70000];
    size_t list, map;

    (void)state;
    memset(text, 'x', sizeof(text));
    list = msgpack_begin_array(&msgpack);
    map = msgpack_begin_map(&msgpack);
    msgpack_add_text(&msgpack, "a");
    msgpack_add_number(&msgpack, -120);
    msgpack_end_map(&msgpack, map, 1);
    msgpack_end_array(&msgpack, list, 1);
    assert_memory_equal(msgpack.bytes,
                        "\xdd\x00\x00\x00\x01\xde\x00\x01\xa1"
                        "a\xa4-120",
                        15);
    assert_int_equal(msgpack.size, 15);
    msgpack_truncate(&msgpack, 0);
    msgpack_add(&msgpack, text, 31);
    msgpack_add(&msgpack, text, 32);
    msgpack_add(&msgpack, text, 255);
    msgpack_add(&msgpack, text, 256);
    msgpack_add(&msgpack, text, 70000);
    assert_memory_equal(msgpack.bytes, "\xbf", 1);
    assert_memory_equal(msgpack.bytes + 32, "\xd9\x20", 2);
    assert_memory_equal(msgpack.bytes + 66, "\xd9\xff", 2);
    assert_memory_equal(msgpack.bytes + 323, "\xda\x01\x00", 3);
    assert_memory_equal(msgpack.bytes + 582, "\xdb\x00\x01\x11\x70", 5);
    assert_int_equal(msgpack.size, 582 + 5 + 70000);
    msgpack_truncate(&msgpack, 0);
    msgpack_add_number(&msgpack, INT64_MIN);
    msgpack_add_number(&msgpack, 0);
    assert_memory_equal(msgpack.bytes,
                        "\xb4-9223372036854775808\xa1"
                        "0",
                        23);
    msgpack_done(&msgpack);
}

static void arena_gives_aligned_memory_of_any_size_again_and_again(void **state)
{
    struct arena arena = {0};

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 2000000; size = size * 3 + 1) {
            char *first = arena_alloc(&arena, size);
            char *second = arena_alloc(&arena, 1);

            assert_non_null(first);
            assert_int_equal((uintptr_t)first % _Alignof(max_align_t), 0);
            memset(first, 0xaa, size);
            *second = 'x';
            assert_int_equal((unsigned char)first[size - 1], 0xaa);
        }
        arena_reset(&arena);
    }
    assert_null(arena_alloc(&arena, SIZE_MAX));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_shared_out_by_weight_over_many_small_rounds),
        cmocka_unit_test(small_rounds_serve_one_of_many_queues_each_and_are_fair_over_time),
        cmocka_unit_test(who_comes_first_among_those_that_are_alike_can_be_chosen),
        cmocka_unit_test(places_that_one_cannot_take_go_to_others),
        cmocka_unit_test(large_rounds_are_fair_over_time_and_serve_few_queues_each),
        cmocka_unit_test(own_places_are_not_taken_from_the_common_ones),
        cmocka_unit_test(who_could_take_nothing_for_a_while_has_not_saved_up),
        cmocka_unit_test(read_scheduler_looks_at_all_queues_before_it_waits_for_them),
        cmocka_unit_test(read_scheduler_waits_for_all_queues_however_few_places_there_are),
        cmocka_unit_test(read_scheduler_does_not_look_at_many_queues_at_once_or_all_the_time),
        cmocka_unit_test(read_scheduler_expects_jobs_in_unknown_queues_where_most_have_some),
        cmocka_unit_test(read_scheduler_takes_no_more_of_a_queue_than_its_limit_and_leaves_reserved_places_free),
        cmocka_unit_test(a_set_of_entries_counts_them_by_queue_and_bytes),
        cmocka_unit_test(read_scheduler_leaves_an_ailing_queue_alone_for_a_while),
        cmocka_unit_test(entry_ids_are_read_and_nothing_else_is),
        cmocka_unit_test(set_of_entries_holds_what_was_added_and_not_removed),
        cmocka_unit_test(entry_that_was_settled_during_a_recovery_is_not_taken_for_a_new_one),
        cmocka_unit_test(set_of_entries_that_grows_during_a_recovery_still_remembers),
        cmocka_unit_test(set_of_entries_that_a_peak_has_left_shrinks),
        cmocka_unit_test(set_of_entries_knows_which_are_settling_and_which_are_lost),
        cmocka_unit_test(values_are_packed_as_messagepack_has_it),
        cmocka_unit_test(arena_gives_aligned_memory_of_any_size_again_and_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
