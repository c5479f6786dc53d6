/* The self-test of a program that has libevent linked statically: nothing that is scheduled would come by weft. */
#include <errno.h>
#include <stdlib.h>

#include "context/propagate/self_test.h"
#include "tests/conformance/harness.h"

static void a_program_with_a_static_libevent_is_told_so(void)
{
    char *message = NULL;

    EXPECT_EQUAL(self_test_run(&message), -ENOTSUP);
    EXPECT_TEXT(message,
                "event_add() is in no shared library: libevent is linked statically into this program, where weft "
                "cannot come before it; link it with the shared libevent");
    free(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CONFORMANCE_CASE(a_program_with_a_static_libevent_is_told_so)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
