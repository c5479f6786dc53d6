/*
 * For tests of what plain libevent code sees: jobs that consist of one value, and what waits.
 */
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "context/async/operation.h"
#include "tests/support/expect.h"
#include "tests/support/trace.h"

/* Calls fn(arg) where `a` is `value`; NULL: at the root. */
static inline void with(const char *value, int (*fn)(void *arg), void *arg)
{
    EXPECT_EQUAL(value ? weft_run_with("a", value, fn, arg) : weft_exit(fn, arg), 0);
}

/* Notes a letter, and looks whether `a` is what it should be. */
static inline void look(char letter, const char *wanted)
{
    trace_add(letter);
    EXPECT_TEXT(weft_get("a"), wanted);
}

static inline struct sockaddr_in loopback(ev_uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* The port of 127.0.0.1 that a socket is bound to. */
static inline ev_uint16_t port_of(evutil_socket_t fd)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof(address);

    EXPECT_EQUAL(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

/* A TCP or UDP socket that does not block, bound to some port of 127.0.0.1. */
static inline evutil_socket_t bound_socket(int type)
{
    struct sockaddr_in address = loopback(0);
    evutil_socket_t fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    EXPECT_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

struct plain_search {
    const char *wanted;
    bool is_found;
};

static inline int plain_compare(const struct operation *operation, void *arg)
{
    struct plain_search *search = arg;
    char words[OPERATION_DESCRIPTION_SIZE];

    operation_describe(operation, words);
    search->is_found = search->is_found || strcmp(words, search->wanted) == 0;
    return 0;
}

/* Whether something is being waited for that says so of itself. */
static inline bool is_awaited(const char *words)
{
    struct plain_search search = {.wanted = words};

    (void)operation_each(plain_compare, &search);
    return search.is_found;
}
