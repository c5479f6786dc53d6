/* The logger where there is more than one thread, and where a process becomes two. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weft/context.h>
#include <weft/log.h>

#include "context/current.h"
#include "context/log/log.h"
#include "tests/unit/log_sink.h"

enum { THREADS = 4, LINES_OF_A_THREAD = 500 };

static struct {
    unsigned lines[THREADS];
    unsigned all;
    unsigned wrong;
} counted;

/* Needs no lock of its own: that is what is tested, by the thread sanitizer more than by the numbers. */
static void count_line(const struct log_record *record, void *user)
{
    char expected[32];
    unsigned thread = (unsigned)(record->message[0] - '0');

    (void)user;
    counted.all++;
    (void)snprintf(expected, sizeof(expected), "%u of job-%u", thread, thread);
    if (thread >= THREADS || record->label_count != 1 || strcmp(record->message, expected) != 0 ||
        strcmp(record->labels[0].text, strchr(expected, 'j')) != 0)
        counted.wrong++;
    else
        counted.lines[thread]++;
}

static int log_many_lines(void *arg)
{
    const unsigned *number = arg;
    char job_id[16];

    (void)snprintf(job_id, sizeof(job_id), "job-%u", *number);
    assert_int_equal(current_set_own("weft.job_id", job_id), 0);
    for (int i = 0; i < LINES_OF_A_THREAD; i++)
        weft_info("%u of %s", *number, job_id);
    return 0;
}

static void *log_in_a_thread(void *arg)
{
    (void)weft_run(log_many_lines, arg);
    return NULL;
}

static void threads_log_each_in_its_own_context(void **state)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];

    (void)state;
    CONFIGURE(.sink = count_line);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_in_a_thread, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(counted.wrong, 0);
    assert_int_equal(counted.all, THREADS * LINES_OF_A_THREAD);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(counted.lines[i], LINES_OF_A_THREAD);
}

static sem_t line_begun;

/* Gives the other thread time to fork while the line is being written. */
static void dawdle(const struct log_record *record, void *user)
{
    (void)record;
    (void)user;
    (void)sem_post(&line_begun);
    (void)usleep(50000);
}

static void *log_one_line(void *arg)
{
    (void)arg;
    weft_info("m");
    return NULL;
}

static void keep_pid(const struct log_record *record, void *user)
{
    *(int *)user = record->pid;
}

/* Ends the child by a signal, since the thread sanitizer would look for the parent's threads at an exit. */
static void log_in_a_child(void)
{
    int pid = 0;

    log_configure(&(struct log_options){.level = WEFT_INFO, .sink = keep_pid, .user = &pid});
    weft_info("m");
    (void)raise(pid == getpid() ? SIGUSR1 : SIGUSR2);
}

static void a_child_that_is_forked_while_others_log_can_log_too(void **state)
{
    pthread_t thread;
    int status = -1;

    (void)state;
    CONFIGURE(.sink = dawdle);
    assert_int_equal(sem_init(&line_begun, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, log_one_line, NULL), 0);
    assert_int_equal(sem_wait(&line_begun), 0);
    pid_t child = fork();
    if (child == 0)
        log_in_a_child();
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGUSR1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sem_destroy(&line_begun), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_log_each_in_its_own_context),
        cmocka_unit_test(a_child_that_is_forked_while_others_log_can_log_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
