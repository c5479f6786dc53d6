/* Locations: addresses of this very process, and the places that its async stacks are made of. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context/async/code_address.h"
#include "daemon/crash/location.h"

static struct module_map map;

__attribute__((noinline)) static const void *where_this_is_called_from(void)
{
    return __builtin_return_address(0);
}

/* Not what follows it: the volatile keeps the call from being the last of the function. */
__attribute__((noinline)) static const void *load_profile(void)
{
    const void *volatile place = where_this_is_called_from();

    return place;
}

static int note_map(void **state)
{
    (void)state;
    module_map_note(&map);
    return 0;
}

static void without_symbols_there_are_module_and_offset(void **state)
{
    uintptr_t address = (uintptr_t)load_profile();
    struct location location = location_find(&map, NULL, address);

    (void)state;
    assert_ptr_equal(location.module, &map.modules[0]);
    assert_null(location.function);
    assert_int_equal(strncmp(location.words, "test_location+0x", 16), 0);
}

static void an_address_that_is_nobodys_is_a_number(void **state)
{
    struct location location = location_find(&map, NULL, 0x10);

    (void)state;
    assert_null(location.module);
    assert_string_equal(location.words, "0x10");
}

static void places_have_function_file_and_line_while_they_are_named(void **state)
{
    char words[CODE_ADDRESS_SIZE];

    (void)state;
    assert_int_equal(location_name_places(&map), 0);
    for (int again = 0; again < 2; again++) {
        code_address_describe(load_profile(), words);
        assert_int_equal(strncmp(words, "load_profile (test_location.c:", 30), 0);
    }
    code_address_describe((const void *)0x10, words);
    assert_string_equal(words, "0x10");
    code_address_describe(NULL, words);
    assert_string_equal(words, "an unknown place");
    location_name_places_no_more();
    code_address_describe(load_profile(), words);
    assert_int_equal(strncmp(words, "test_location+0x", 16), 0);
    location_name_places_no_more();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_symbols_there_are_module_and_offset),
        cmocka_unit_test(an_address_that_is_nobodys_is_a_number),
        cmocka_unit_test(places_have_function_file_and_line_while_they_are_named),
    };

    return cmocka_run_group_tests_name("location", tests, note_map, NULL);
}
