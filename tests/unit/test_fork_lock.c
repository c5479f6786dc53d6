/* A process that is forked while other threads are at work: its locks are free. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <weft/hooks.h>
#include <weft/log.h>

#include "context/log/log.h"
#include "tests/support/expect.h"

enum { FORKS = 60, THREADS = 2 };

static atomic_bool over;

static void ignore(const struct log_record *record, void *user)
{
    (void)record;
    (void)user;
}

static void do_nothing(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static int arm_and_free(void *base)
{
    struct event *event = evtimer_new(base, do_nothing, NULL);

    (void)event_add(event, &(struct timeval){.tv_sec = 60});
    event_free(event);
    return 0;
}

/* Everything that takes a lock: the log, hooks, operations that any thread may end, bases that are run. */
static void use_all(struct event_base *base)
{
    struct weft_hook hook = {0};

    weft_info("a line");
    weft_hook_add(&hook);
    (void)weft_run_with("a", "1", arm_and_free, base);
    weft_hook_remove(&hook);
    (void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static void *work(void *arg)
{
    struct event_base *base = event_base_new();

    (void)arg;
    while (!atomic_load(&over))
        use_all(base);
    event_base_free(base);
    return NULL;
}

static void a_forked_process_finds_no_lock_taken_by_threads_that_it_does_not_have(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* a child cannot allocate: the sanitizer's own locks are not held over a fork */
#endif
    struct event_base *base = event_base_new();
    log_configure(&(struct log_options){.level = WEFT_INFO, .sink = ignore});
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0) {
            use_all(base);
            /* Leaves nothing to be looked through for what the threads had. */
            (void)execl("/bin/true", "true", NULL);
            _exit(EXIT_FAILURE);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    event_base_free(base);
    log_configure(&(struct log_options){.level = WEFT_INFO});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPECT_TEST(a_forked_process_finds_no_lock_taken_by_threads_that_it_does_not_have),
    };

    return cmocka_run_group_tests_name("fork_lock", tests, NULL, NULL);
}
