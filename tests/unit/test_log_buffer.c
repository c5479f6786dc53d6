/* Buffers of log lines: a ring that gives back what was put in, in order and in one piece, whatever fits; and that
 * whoever scribbled over it cannot make anybody read outside of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/scoreboard/log_buffer.h"

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static struct log_buffers *begin(size_t count, size_t pages)
{
    struct log_buffers *buffers;

    assert_int_equal(log_buffers_new(count, pages * page(), 7, &buffers), 0);
    return buffers;
}

/* As the sink does it. */
static bool put(const struct log_buffer *buffer, const char *line)
{
    size_t size = strlen(line);

    for (int next_round = 0; next_round <= 1; next_round++) {
        size_t room;
        char *place = log_buffer_place(buffer, next_round, &room);

        assert_true(room <= buffer->size);
        if (room < size)
            continue;
        memcpy(place, line, size);
        log_buffer_publish(buffer, next_round, size);
        return true;
    }
    return false;
}

static void expect(const struct log_buffer *buffer, const char *line)
{
    size_t size;
    const char *bytes = log_buffer_peek(buffer, &size);

    assert_true(size >= strlen(line));
    assert_memory_equal(bytes, line, strlen(line));
    log_buffer_take(buffer, strlen(line));
}

static void lines_come_out_as_they_went_in(void **state)
{
    struct log_buffers *buffers = begin(2, 1);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct log_buffer *buffer = &buffers->buffers[i];

        assert_true(log_buffer_is_empty(buffer));
        assert_true(put(buffer, "one\n") && put(buffer, "two\n"));
        assert_int_equal(log_buffer_used(buffer), 8);
        expect(buffer, "one\n");
        expect(buffer, "two\n");
        assert_true(log_buffer_is_empty(buffer));
    }
    (void)log_buffers_free(buffers);
}

/* Against the simplest thing that does the same: a list. */
static void a_long_walk_of_lines_in_and_out_keeps_their_order_and_their_bytes(void **state)
{
    enum { STEPS = 200000, LINES = 4096 };
    static char expected[LINES][2100];
    struct log_buffers *buffers = begin(1, 2);
    const struct log_buffer *buffer = &buffers->buffers[0];
    size_t first = 0, last = 0, refused = 0;

    (void)state;
    srand(1);
    for (unsigned step = 0; step < STEPS; step++) {
        if (rand() % 2) {
            char line[2100];
            size_t size = (size_t)(rand() % 20 ? rand() % 200 : rand() % 2000) + 8;

            memset(line, 'a' + (int)(step % 26), size);
            (void)snprintf(line, 8, "%07u", step);
            line[7] = ' ';
            line[size - 1] = '\n';
            line[size] = '\0';
            if (last - first < LINES && put(buffer, line))
                memcpy(expected[last++ % LINES], line, size + 1);
            else
                refused++;
        } else if (first < last) {
            /* As outputs do: some lines at once, or a part of one. */
            const char *line = expected[first % LINES];
            size_t size;
            const char *bytes = log_buffer_peek(buffer, &size);

            assert_true(size >= strlen(line) && memcmp(bytes, line, strlen(line)) == 0);
            if (rand() % 3 == 0) {
                log_buffer_take(buffer, 3);
                bytes = log_buffer_peek(buffer, &size);
                assert_memory_equal(bytes, line + 3, strlen(line) - 3);
                log_buffer_take(buffer, strlen(line) - 3);
            } else {
                log_buffer_take(buffer, strlen(line));
            }
            first++;
        }
        assert_int_equal(log_buffer_is_empty(buffer), first == last);
    }
    assert_true(refused > 0 && refused < STEPS / 2);
    assert_true(log_buffer_discard(buffer) == last - first && log_buffer_is_empty(buffer));
    (void)log_buffers_free(buffers);
}

static void what_a_process_has_put_in_is_there_when_it_is_gone(void **state)
{
    struct log_buffers *buffers = begin(1, 1);
    int status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        (void)put(&buffers->buffers[0], "last words\n");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    expect(&buffers->buffers[0], "last words\n");
    (void)log_buffers_free(buffers);
}

static void a_ring_that_was_scribbled_over_shows_nothing_outside_of_it(void **state)
{
    static const size_t values[] = {0, 1, 4095, 4096, 4097, 8192, 100000, SIZE_MAX - 1, SIZE_MAX};
    enum { COUNT = sizeof(values) / sizeof(*values) };
    struct log_buffers *buffers = begin(1, 1);
    const struct log_buffer *buffer = &buffers->buffers[0];

    (void)state;
    for (size_t i = 0; i < COUNT * COUNT * COUNT; i++) {
        size_t size;

        atomic_store(&buffer->ring->begin, values[i % COUNT]);
        atomic_store(&buffer->ring->end, values[i / COUNT % COUNT]);
        atomic_store(&buffer->ring->wrap, values[i / COUNT / COUNT]);
        const char *bytes = log_buffer_peek(buffer, &size);
        assert_true(bytes >= buffer->bytes && bytes + size <= buffer->bytes + buffer->size);
        (void)log_buffer_discard(buffer);
        (void)put(buffer, "line\n");
        (void)log_buffer_discard(buffer);
        assert_true(log_buffer_is_empty(buffer));
    }
    (void)log_buffers_free(buffers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_as_they_went_in),
        cmocka_unit_test(a_long_walk_of_lines_in_and_out_keeps_their_order_and_their_bytes),
        cmocka_unit_test(what_a_process_has_put_in_is_there_when_it_is_gone),
        cmocka_unit_test(a_ring_that_was_scribbled_over_shows_nothing_outside_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
