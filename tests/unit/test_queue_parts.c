/* The parts that need no Redis: shares, the roster, the set of entries, packed values, times, the arena. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/arena.h"
#include "queue/entry.h"
#include "queue/pack.h"
#include "queue/roster.h"
#include "queue/share.h"

static void places_are_shared_out_by_weight_over_many_small_rounds(void **state)
{
    struct share shares[] = {{.weight = 5, .most = 9}, {.weight = 1, .most = 9}, {.weight = 2, .most = 9}};
    unsigned totals[3] = {0};

    (void)state;
    for (int round = 0; round < 80; round++) {
        assert_int_equal(share_out(shares, 3, 1), 1);
        for (int i = 0; i < 3; i++)
            totals[i] += shares[i].places;
    }
    assert_int_equal(totals[0], 50);
    assert_int_equal(totals[1], 10);
    assert_int_equal(totals[2], 20);
}

static void places_that_one_cannot_take_go_to_others(void **state)
{
    struct share shares[] = {{.weight = 100, .most = 1}, {.weight = 1, .most = 50}, {.weight = 1, .most = 0}};

    (void)state;
    assert_int_equal(share_out(shares, 3, 20), 20);
    assert_int_equal(shares[0].places, 1);
    assert_int_equal(shares[1].places, 19);
    assert_int_equal(shares[2].places, 0);
    assert_int_equal(share_out(shares, 3, 200), 51);
}

static const struct queue_spec specs[] = {{"a", 1}, {"b", 1}, {"c", 1}};

static void roster_waits_only_when_all_queues_are_empty(void **state)
{
    struct roster *roster;

    (void)state;
    assert_int_equal(roster_new(specs, 2, &roster), 0);
    assert_int_equal(roster_make_plan(roster, 10, 1000), ROSTER_ROUND);
    roster_note_read(roster, 0, 5, 5);
    roster_note_read(roster, 1, 5, 0);
    assert_int_equal(roster_make_plan(roster, 10, 1001), ROSTER_ROUND);
    assert_int_equal(roster_count(roster, 0), 10);
    assert_int_equal(roster_count(roster, 1), 0);
    assert_int_equal(roster_make_plan(roster, 10, 1100), ROSTER_ROUND);
    assert_int_equal(roster_count(roster, 0), 9);
    assert_int_equal(roster_count(roster, 1), 1); /* looked at again after a while */
    roster_note_read(roster, 0, 9, 8);
    assert_int_equal(roster_make_plan(roster, 10, 1101), ROSTER_WAIT);
    assert_int_equal(roster_count(roster, 0), 5);
    assert_int_equal(roster_count(roster, 1), 5);
    assert_null(roster_free(roster));
}

static void roster_gives_each_queue_its_turn_when_places_are_few(void **state)
{
    struct roster *roster;
    unsigned turns[3] = {0};

    (void)state;
    assert_int_equal(roster_new(specs, 3, &roster), 0);
    for (size_t i = 0; i < 3; i++)
        roster_note_read(roster, i, 1, 0);
    for (int round = 0; round < 6; round++) {
        assert_int_equal(roster_make_plan(roster, 2, 1000), ROSTER_CROWDED);
        for (size_t i = 0; i < 3; i++)
            turns[i] += roster_count(roster, i);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(turns[i], 4);
    assert_null(roster_free(roster));
}

static void roster_leaves_an_ailing_queue_alone_for_a_while(void **state)
{
    struct roster *roster;

    (void)state;
    assert_int_equal(roster_new(specs, 1, &roster), 0);
    assert_int_equal(roster_make_plan(roster, 10, 1000), ROSTER_WAIT);
    roster_leave_alone(roster, 0, 2000);
    assert_int_equal(roster_make_plan(roster, 10, 1999), ROSTER_NOTHING);
    assert_int_equal(roster_make_plan(roster, 10, 2000), ROSTER_ROUND);
    roster_leave_alone(roster, 0, 3000);
    assert_int_equal(roster_make_plan(roster, 10, 3000), ROSTER_ROUND);
    roster_note_read(roster, 0, 10, 0);
    assert_int_equal(roster_make_plan(roster, 10, 3001), ROSTER_WAIT);
    assert_null(roster_free(roster));
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
    struct pack pack = {0};
    char text[70000];
    size_t list, map;

    (void)state;
    memset(text, 'x', sizeof(text));
    list = pack_begin_array(&pack);
    map = pack_begin_map(&pack);
    pack_add_text(&pack, "a");
    pack_add_number(&pack, -120);
    pack_end_map(&pack, map, 1);
    pack_end_array(&pack, list, 1);
    assert_memory_equal(pack.bytes,
                        "\xdd\x00\x00\x00\x01\xde\x00\x01\xa1"
                        "a\xa4-120",
                        15);
    assert_int_equal(pack.size, 15);
    pack_truncate(&pack, 0);
    pack_add(&pack, text, 31);
    pack_add(&pack, text, 32);
    pack_add(&pack, text, 255);
    pack_add(&pack, text, 256);
    pack_add(&pack, text, 70000);
    assert_memory_equal(pack.bytes, "\xbf", 1);
    assert_memory_equal(pack.bytes + 32, "\xd9\x20", 2);
    assert_memory_equal(pack.bytes + 66, "\xd9\xff", 2);
    assert_memory_equal(pack.bytes + 323, "\xda\x01\x00", 3);
    assert_memory_equal(pack.bytes + 582, "\xdb\x00\x01\x11\x70", 5);
    assert_int_equal(pack.size, 582 + 5 + 70000);
    pack_truncate(&pack, 0);
    pack_add_number(&pack, INT64_MIN);
    pack_add_number(&pack, 0);
    assert_memory_equal(pack.bytes,
                        "\xb4-9223372036854775808\xa1"
                        "0",
                        23);
    pack_done(&pack);
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
        cmocka_unit_test(places_that_one_cannot_take_go_to_others),
        cmocka_unit_test(roster_waits_only_when_all_queues_are_empty),
        cmocka_unit_test(roster_gives_each_queue_its_turn_when_places_are_few),
        cmocka_unit_test(roster_leaves_an_ailing_queue_alone_for_a_while),
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
