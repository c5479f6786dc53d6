/* Bufferevents in plain libevent: C38, C41, C48, C63, and the failure modes 1, 6 and 11 where they are about these. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/thread.h>

#include "tests/conformance/harness.h"
#include "tests/support/plain_libevent.h"

/* One end of a connection: what its callbacks are to see, and what they do. */
struct end {
    struct event_base *base;
    struct bufferevent *bufferevent;
    evutil_socket_t peer;
    const char *wanted;
    short events;
    bufferevent_data_cb next; /* of a callback that sets another */
};

static void note_read(struct bufferevent *bufferevent, void *arg)
{
    (void)evbuffer_drain(bufferevent_get_input(bufferevent), SIZE_MAX);
    look('r', ((struct end *)arg)->wanted);
}

static void note_write(struct bufferevent *bufferevent, void *arg)
{
    (void)bufferevent;
    look('w', ((struct end *)arg)->wanted);
}

static void note_event(struct bufferevent *bufferevent, short what, void *arg)
{
    struct end *end = arg;

    (void)bufferevent;
    end->events = (short)(end->events | what);
    look('e', end->wanted);
}

static int set_all(void *arg)
{
    struct end *end = arg;

    bufferevent_setcb(end->bufferevent, note_read, note_write, note_event, end);
    return bufferevent_enable(end->bufferevent, EV_READ | EV_WRITE);
}

static int set_none(void *arg)
{
    bufferevent_setcb(((struct end *)arg)->bufferevent, NULL, NULL, NULL, NULL);
    return 0;
}

/* A bufferevent on one end of a socket pair. */
static struct end begin(const char *wanted, int options)
{
    struct end end = {.base = event_base_new(), .wanted = wanted};
    evutil_socket_t pair[2];

    trace_clear();
    EXPECT_EQUAL(evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EXPECT_EQUAL(evutil_make_socket_nonblocking(pair[0]), 0);
    end.bufferevent = bufferevent_socket_new(end.base, pair[0], options | BEV_OPT_CLOSE_ON_FREE);
    end.peer = pair[1];
    return end;
}

/* Lets the loop do what is to be done at once. */
static void turn(const struct end *end)
{
    EXPECT(event_base_loop(end->base, EVLOOP_NONBLOCK) >= 0);
}

static void finish(struct end *end)
{
    if (end->bufferevent)
        bufferevent_free(end->bufferevent);
    (void)close(end->peer);
    event_base_free(end->base);
}

/* ---- C38: the end of a stream ---- */

static void c38_the_end_of_a_stream_is_told_in_the_context_that_set_the_callback(void)
{
    struct end end = begin("1", 0);

    with("1", set_all, &end);
    turn(&end);
    EXPECT_EQUAL(shutdown(end.peer, SHUT_WR), 0);
    turn(&end);
    EXPECT_EQUAL(end.events, BEV_EVENT_EOF | BEV_EVENT_READING);
    EXPECT_TEXT(trace, "we");
    finish(&end);
}

static void c38_so_is_the_end_of_one_that_had_ended_before(void)
{
    for (int deferred = 0; deferred < 2; deferred++) {
        struct end end = begin("1", deferred ? BEV_OPT_DEFER_CALLBACKS : 0);

        EXPECT_EQUAL(shutdown(end.peer, SHUT_WR), 0);
        with("1", set_all, &end);
        turn(&end);
        turn(&end);
        EXPECT_EQUAL(end.events, BEV_EVENT_EOF | BEV_EVENT_READING);
        finish(&end);
    }
}

/* ---- C48: errors ---- */

static int set_short_time(void *arg)
{
    struct end *end = arg;
    const struct timeval soon = {.tv_usec = 1000};

    EXPECT_EQUAL(bufferevent_set_timeouts(end->bufferevent, &soon, NULL), 0);
    return set_all(arg);
}

static void c48_failure_11_time_outs_are_told_in_the_context_that_waits(void)
{
    struct end end = begin("1", 0);

    with("1", set_short_time, &end);
    EXPECT_EQUAL(event_base_dispatch(end.base), 1);
    EXPECT_EQUAL(end.events, BEV_EVENT_TIMEOUT | BEV_EVENT_READING);
    finish(&end);
}

static int connect_to_nobody(void *arg)
{
    struct end *end = arg;
    evutil_socket_t fd = bound_socket(SOCK_STREAM);
    struct sockaddr_in address = loopback(port_of(fd));

    /* Bound, but nobody listens: the port is nobody else's meanwhile. */
    EXPECT_EQUAL(set_all(arg), 0);
    EXPECT_EQUAL(bufferevent_socket_connect(end->bufferevent, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static int connect_and_wait(void *arg)
{
    struct end *end = arg;
    int fd = connect_to_nobody(arg);

    EXPECT_EQUAL(event_base_dispatch(end->base), 1);
    return close(fd);
}

static void c48_failure_11_refused_connections_are_told_in_the_context_that_connects(void)
{
    struct end end = {.base = event_base_new(), .wanted = "1", .peer = -1};

    trace_clear();
    end.bufferevent = bufferevent_socket_new(end.base, -1, BEV_OPT_CLOSE_ON_FREE);
    with("1", connect_and_wait, &end);
    EXPECT_EQUAL(end.events, BEV_EVENT_ERROR);
    EXPECT_TEXT(trace, "e");
    finish(&end);
}

/* ---- C41: callbacks that change callbacks ---- */

static void note_and_set_next(struct bufferevent *bufferevent, void *arg)
{
    struct end *end = arg;

    note_read(bufferevent, arg);
    EXPECT_EQUAL(weft_set("a", "2"), 0);
    bufferevent_setcb(bufferevent, end->next, NULL, NULL, end);
    EXPECT_TEXT(weft_get("a"), "2");
    end->wanted = "2";
}

static int set_first_of_two(void *arg)
{
    struct end *end = arg;

    end->next = note_read;
    bufferevent_setcb(end->bufferevent, note_and_set_next, NULL, note_event, end);
    return bufferevent_enable(end->bufferevent, EV_READ);
}

static void c41_a_callback_may_set_others_which_see_what_it_had_set(void)
{
    struct end end = begin("1", 0);
    long before = weft_contexts_alive();

    with("1", set_first_of_two, &end);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQUAL(write(end.peer, "x", 1), 1);
        turn(&end);
        EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    }
    EXPECT_TEXT(trace, "rrr");
    finish(&end);
}

static void free_it(struct bufferevent *bufferevent, void *arg)
{
    struct end *end = arg;

    note_read(bufferevent, arg);
    bufferevent_free(bufferevent);
    end->bufferevent = NULL;
    look('.', end->wanted);
    EXPECT(is_awaited("bufferevent, freed"));
}

static int set_free_it(void *arg)
{
    struct end *end = arg;

    bufferevent_setcb(end->bufferevent, free_it, NULL, note_event, end);
    return bufferevent_enable(end->bufferevent, EV_READ);
}

static void c41_a_callback_may_free_its_bufferevent(void)
{
    for (int deferred = 0; deferred < 2; deferred++) {
        struct end end = begin("1", deferred ? BEV_OPT_DEFER_CALLBACKS : 0);

        with("1", set_free_it, &end);
        EXPECT_EQUAL(write(end.peer, "x", 1), 1);
        turn(&end);
        EXPECT_TEXT(trace, "r.");
        finish(&end);
    }
}

static void c41_the_callbacks_that_were_set_are_given_back(void)
{
    struct end end = begin("1", 0);
    bufferevent_data_cb read_cb, write_cb;
    bufferevent_event_cb event_cb;
    void *arg;

    with("1", set_all, &end);
    bufferevent_getcb(end.bufferevent, &read_cb, &write_cb, &event_cb, &arg);
    EXPECT(read_cb == note_read && write_cb == note_write && event_cb == note_event && arg == &end);
    bufferevent_getcb(end.bufferevent, NULL, NULL, NULL, NULL);
    with(NULL, set_all, &end);
    bufferevent_getcb(end.bufferevent, &read_cb, &write_cb, &event_cb, &arg);
    EXPECT(read_cb == note_read && write_cb == note_write && event_cb == note_event && arg == &end);
    bufferevent_setcb(end.bufferevent, NULL, note_write, NULL, &end.peer);
    bufferevent_getcb(end.bufferevent, &read_cb, &write_cb, &event_cb, &arg);
    EXPECT(!read_cb && write_cb == note_write && !event_cb && arg == &end.peer);
    finish(&end);
}

/* ---- C63: what is held ---- */

static void c63_a_bufferevent_holds_a_context_while_it_has_callbacks_of_it(void)
{
    struct end end = begin("1", 0);
    long before = weft_contexts_alive();
    char words[64];

    (void)snprintf(words, sizeof(words), "bufferevent on fd %d: read, write", (int)bufferevent_getfd(end.bufferevent));
    with("1", set_all, &end);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    EXPECT(is_awaited(words));
    with("2", set_all, &end);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1);
    with("3", set_none, &end);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    EXPECT(!is_awaited(words));
    with("4", set_all, &end);
    bufferevent_free(end.bufferevent);
    end.bufferevent = NULL;
    EXPECT_EQUAL(weft_contexts_alive(), before);
    finish(&end);
}

/* A pool's connection was made by one job, and is used by the next: each sees its own, and the idle one is nobody's. */
static void failures_1_and_6_a_connection_of_a_pool_shows_each_user_its_own(void)
{
    static const char *const users[] = {"1", "2", NULL, "1"};
    struct end end = begin(NULL, 0);
    long before = weft_contexts_alive();

    for (size_t i = 0; i < 4; i++) {
        end.wanted = users[i];
        with(users[i], set_all, &end);
        turn(&end);
        EXPECT_EQUAL(write(end.peer, "x", 1), 1);
        turn(&end);
        with(users[i], set_none, &end);
        EXPECT_EQUAL(weft_contexts_alive(), before);
    }
    EXPECT_TEXT(trace, "wrwrwrwr");
    finish(&end);
}

/* ---- Threads ---- */

static void *free_elsewhere(void *bufferevent)
{
    bufferevent_free(bufferevent);
    return NULL;
}

static void have_it_freed_elsewhere(struct bufferevent *bufferevent, void *arg)
{
    struct end *end = arg;
    pthread_t thread;

    note_read(bufferevent, arg);
    end->bufferevent = NULL;
    EXPECT_EQUAL(pthread_create(&thread, NULL, free_elsewhere, bufferevent), 0);
    EXPECT_EQUAL(pthread_join(thread, NULL), 0);
    look('.', end->wanted);
}

static int set_from_the_loop(void *arg)
{
    struct end *end = arg;

    bufferevent_setcb(end->bufferevent, have_it_freed_elsewhere, NULL, NULL, end);
    return bufferevent_enable(end->bufferevent, EV_READ);
}

static void set_in_job_1(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    with("1", set_from_the_loop, arg);
}

static struct end begin_with_threads(void)
{
    EXPECT_EQUAL(evthread_use_pthreads(), 0);
    return begin("1", BEV_OPT_THREADSAFE | BEV_OPT_DEFER_CALLBACKS | BEV_OPT_UNLOCK_CALLBACKS);
}

static void c63_one_that_another_thread_frees_while_its_callback_runs_is_released_after_that(void)
{
    struct end end = begin_with_threads();
    const struct timeval at_once = {0};

    EXPECT_EQUAL(event_base_once(end.base, -1, EV_TIMEOUT, set_in_job_1, &end, &at_once), 0);
    EXPECT_EQUAL(write(end.peer, "x", 1), 1);
    EXPECT_EQUAL(event_base_dispatch(end.base), 1);
    EXPECT_TEXT(trace, "r.");
    finish(&end);
}

static void set_in_job_1_and_have_it_freed_elsewhere(evutil_socket_t fd, short what, void *arg)
{
    struct end *end = arg;
    pthread_t thread;

    set_in_job_1(fd, what, arg);
    EXPECT_EQUAL(pthread_create(&thread, NULL, free_elsewhere, end->bufferevent), 0);
    EXPECT_EQUAL(pthread_join(thread, NULL), 0);
    end->bufferevent = NULL;
    EXPECT(is_awaited("bufferevent, freed"));
}

static void c63_one_that_another_thread_frees_while_the_loop_runs_is_released_by_the_loop(void)
{
    struct end end = begin_with_threads();
    const struct timeval at_once = {0};
    long before = weft_contexts_alive();

    EXPECT_EQUAL(event_base_once(end.base, -1, EV_TIMEOUT, set_in_job_1_and_have_it_freed_elsewhere, &end, &at_once),
                 0);
    EXPECT_EQUAL(event_base_dispatch(end.base), 1);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    finish(&end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c38_the_end_of_a_stream_is_told_in_the_context_that_set_the_callback),
        CONFORMANCE_CASE(c38_so_is_the_end_of_one_that_had_ended_before),
        CONFORMANCE_CASE(c48_failure_11_time_outs_are_told_in_the_context_that_waits),
        CONFORMANCE_CASE(c48_failure_11_refused_connections_are_told_in_the_context_that_connects),
        CONFORMANCE_CASE(c41_a_callback_may_set_others_which_see_what_it_had_set),
        CONFORMANCE_CASE(c41_a_callback_may_free_its_bufferevent),
        CONFORMANCE_CASE(c41_the_callbacks_that_were_set_are_given_back),
        CONFORMANCE_CASE(c63_a_bufferevent_holds_a_context_while_it_has_callbacks_of_it),
        CONFORMANCE_CASE(failures_1_and_6_a_connection_of_a_pool_shows_each_user_its_own),
        CONFORMANCE_CASE(c63_one_that_another_thread_frees_while_its_callback_runs_is_released_after_that),
        CONFORMANCE_CASE(c63_one_that_another_thread_frees_while_the_loop_runs_is_released_by_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
