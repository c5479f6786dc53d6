/* Addresses to listen on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "daemon/config/address.h"

static void assert_address(const char *text, int family, const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    char spelled[INET6_ADDRSTRLEN];
    socklen_t size;

    assert_int_equal(config_address_parse(text, &address, &size), 0);
    assert_int_equal(address.ss_family, family);
    if (family == AF_INET) {
        const struct sockaddr_in *found = (const void *)&address;

        assert_int_equal(size, sizeof(*found));
        assert_int_equal(ntohs(found->sin_port), port);
        assert_non_null(inet_ntop(family, &found->sin_addr, spelled, sizeof(spelled)));
    } else {
        const struct sockaddr_in6 *found = (const void *)&address;

        assert_int_equal(size, sizeof(*found));
        assert_int_equal(ntohs(found->sin6_port), port);
        assert_non_null(inet_ntop(family, &found->sin6_addr, spelled, sizeof(spelled)));
    }
    assert_string_equal(spelled, host);
}

static void a_port_alone_is_on_the_loopback(void **state)
{
    (void)state;
    assert_address("7788", AF_INET, "127.0.0.1", 7788);
    assert_address("1", AF_INET, "127.0.0.1", 1);
    assert_address("65535", AF_INET, "127.0.0.1", 65535);
}

static void addresses_are_in_digits(void **state)
{
    (void)state;
    assert_address("127.0.0.1:7788", AF_INET, "127.0.0.1", 7788);
    assert_address("0.0.0.0:80", AF_INET, "0.0.0.0", 80);
    assert_address("[::1]:7788", AF_INET6, "::1", 7788);
    assert_address("[2001:db8::7]:9", AF_INET6, "2001:db8::7", 9);
}

static void anything_else_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        ":7788",
        "localhost:7788",
        "127.0.0.1",
        "127.0.0.1:",
        "0",
        "65536",
        "99999999",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x50",
        "::1",
        "::1:7788",
        "[::1]",
        "[::1]7788",
        "[::1:7788",
        "[]:1",
        "[127.0.0.1]:1",
        "1.2.3.4.5:6",
        "1.2.3:http",
        "256.0.0.1:1",
        "*:7788",
        "/run/socket",
        "unix:/x",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111:1",
    };
    struct sockaddr_storage address;
    socklen_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (config_address_parse(texts[i], &address, &size) != -EINVAL)
            fail_msg("\"%s\" is no address", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_alone_is_on_the_loopback),
        cmocka_unit_test(addresses_are_in_digits),
        cmocka_unit_test(anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
