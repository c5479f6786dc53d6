/* Threads of a plugin's own that find their way back into the worker's loop: by weft_post(), and by libevent's own
 * event_base_once(). */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include <weft/loop.h>
#include <weft/weft.h>

enum { CHURNERS = 2 };

struct exchange {
    char id[WEFT_ID_SIZE];
    struct event_base *base;
    struct weft_future posted, once;
};

static int at_load;
static atomic_bool churns;
static atomic_uint churned, churned_back;
static pthread_t churners[CHURNERS];

static void speak(const char *what, const char *id)
{
    weft_info("%s of %s", what, id);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* A worker has its loop by then. A process that only looks at the plugin, as `weftd --check` does, has none. */
__attribute__((constructor)) static void begin(void)
{
    at_load = weft_post(NULL, nothing, NULL);
}

/* ---- One job, one thread ---- */

static void on_post(void *arg)
{
    struct exchange *exchange = arg;

    speak("post", exchange->id);
    weft_future_complete(&exchange->posted, 0);
}

static void on_once(evutil_socket_t fd, short what, void *arg)
{
    struct exchange *exchange = arg;

    (void)fd;
    (void)what;
    speak("once", exchange->id);
    weft_future_complete(&exchange->once, 0);
}

static void *run_thread(void *arg)
{
    struct exchange *exchange = arg;
    int r = weft_post(NULL, on_post, exchange);

    if (r < 0)
        weft_error("post gave %s", strerror(-r));
    if (event_base_once(exchange->base, -1, EV_TIMEOUT, on_once, exchange, NULL) < 0)
        weft_error("event_base_once failed");
    return NULL;
}

static int exchange_with_thread(struct weft_job *job)
{
    struct exchange exchange = {.base = weft_loop_base()};
    pthread_t thread;

    (void)strcpy(exchange.id, weft_job_id(job));
    if (pthread_create(&thread, NULL, run_thread, &exchange))
        return -EAGAIN;
    int r = weft_future_wait(&exchange.posted, NULL);
    if (r == 0)
        r = weft_future_wait(&exchange.once, NULL);
    pthread_join(thread, NULL);
    return r;
}

/* ---- Threads that are never out of libevent's locks for long, while the worker forks ---- */

static void on_churn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    if (weft_job_current())
        weft_error("a churner has a job");
    atomic_fetch_add(&churned_back, 1);
}

static int look(const struct event_base *base, const struct event *event, void *arg)
{
    (void)base;
    (void)event;
    (void)arg;
    return 0;
}

static void *churn(void *base)
{
    while (atomic_load(&churns)) {
        event_base_foreach_event(base, look, NULL);
        /* A mutex is not fair: without a moment outside it, the worker's loop would wait for seconds. */
        usleep(10);
        if (atomic_load(&churned) - atomic_load(&churned_back) > 100)
            continue;
        atomic_fetch_add(&churned, 1);
        if (event_base_once(base, -1, EV_TIMEOUT, on_churn, NULL, NULL) < 0)
            weft_error("event_base_once failed");
    }
    return NULL;
}

static int fork_often(struct weft_job *job)
{
    (void)job;
    for (int i = 0; i < 300; i++) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0)
            _exit(7);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
            return weft_fail(job, "child %d ended with %d", i, status);
    }
    speak("forks", weft_job_id(job));
    return 0;
}

/* ---- */

static int start(void)
{
    weft_info("post at load gave %d", at_load);
    atomic_store(&churns, getenv("POST_CHURNS") != NULL);
    for (int i = 0; atomic_load(&churns) && i < CHURNERS; i++)
        if (pthread_create(&churners[i], NULL, churn, weft_loop_base()))
            return -EAGAIN;
    return 0;
}

static void stop(void)
{
    weft_info("post at stop gave %d", weft_post(NULL, nothing, NULL));
    if (atomic_exchange(&churns, false))
        for (int i = 0; i < CHURNERS; i++)
            pthread_join(churners[i], NULL);
}

WEFT_PLUGIN_WITH_HOOKS("post", start, stop, WEFT_HANDLER("exchange", exchange_with_thread),
                       WEFT_HANDLER("fork_often", fork_often));
