/*
 * What jobs share: queues in front of a connection, batches, singletons that one of them happens to make. C49 and C51,
 * and the failures that are known of them: a queue whose entries run in the context of whoever makes room (2), a batch
 * that runs in the context of its first caller (3), a client that loses the context of a command (4), a timer that
 * keeps the context of a job for ever (5). Where callbacks are kept by users' own code, weft_bind() is what keeps their
 * context.
 */
#include "tests/conformance/harness.h"
#include "tests/support/redis_client.h"

/* ---- A queue in front of a connection, which takes one command at a time ---- */

struct request {
    struct request *next;
    struct weft_bound bound; /* to send it, in its own context */
    struct limiter *limiter;
    const char *a;
};

struct limiter {
    struct redis_client client;
    struct request *waiting;
    bool is_busy;
};

static void send_next(struct limiter *limiter);

static void request_answered(redisAsyncContext *connection, void *reply, void *arg)
{
    struct request *request = arg;
    struct limiter *limiter = request->limiter;

    (void)connection;
    EXPECT(reply != NULL);
    EXPECT_TEXT(weft_get("a"), request->a);
    limiter->is_busy = false;
    send_next(limiter);
    redis_client_has_reply(&limiter->client);
}

static int send_request(void *arg)
{
    struct request *request = arg;

    EXPECT_TEXT(weft_get("a"), request->a);
    return redisAsyncCommand(request->limiter->client.connection, request_answered, arg, "PING");
}

/* In the context of whoever made room. */
static void send_next(struct limiter *limiter)
{
    struct request *request = limiter->waiting;

    if (!request || limiter->is_busy)
        return;
    limiter->waiting = request->next;
    limiter->is_busy = true;
    EXPECT_EQUAL(weft_call_once(&request->bound), REDIS_OK);
}

static int enqueue(void *arg)
{
    struct request *request = arg;
    struct request **place = &request->limiter->waiting;

    weft_bind(&request->bound, send_request, request);
    while (*place)
        place = &(*place)->next;
    *place = request;
    request->limiter->client.outstanding++;
    send_next(request->limiter);
    return 0;
}

static void c49_a_request_that_had_to_queue_runs_in_its_own_context(void)
{
    static const char *const values[] = {"1", "2", "3", "4"};
    enum { COUNT = sizeof(values) / sizeof(*values) };
    struct limiter limiter = {0};
    struct request requests[COUNT];
    long before = weft_contexts_alive();

    redis_client_init(&limiter.client);
    for (size_t i = 0; i < COUNT; i++) {
        requests[i] = (struct request){.limiter = &limiter, .a = values[i]};
        EXPECT_EQUAL(weft_run_with("a", values[i], enqueue, &requests[i]), 0);
    }
    redis_client_run(&limiter.client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    redis_client_done(&limiter.client);
}

/* ---- A batch ---- */

enum { LOADS_MAX = 4 };

/* Loads keys of several jobs by one command. */
struct loader {
    struct redis_client client;
    struct event *flush;
    struct load *loads[LOADS_MAX];
    size_t count;
};

struct load {
    struct loader *loader;
    struct weft_bound bound;
    const char *a;
    const char *value;
};

static void loaded(redisAsyncContext *connection, void *answer, void *arg)
{
    struct loader *loader = arg;
    const redisReply *reply = answer;

    (void)connection;
    EXPECT_TEXT(weft_get("a"), NULL);
    EXPECT_EQUAL(reply->elements, loader->count);
    for (size_t i = 0; i < loader->count; i++) {
        loader->loads[i]->value = reply->element[i]->str;
        EXPECT_EQUAL(weft_call_once(&loader->loads[i]->bound), 0);
    }
    redis_client_has_reply(&loader->client);
}

static void flush(evutil_socket_t fd, short what, void *arg)
{
    struct loader *loader = arg;
    const char *words[1 + LOADS_MAX] = {"MGET"};

    (void)fd;
    (void)what;
    EXPECT_TEXT(weft_get("a"), NULL); /* not its first caller's */
    for (size_t i = 0; i < loader->count; i++)
        words[1 + i] = loader->loads[i]->a;
    EXPECT_EQUAL(redisAsyncCommandArgv(loader->client.connection, loaded, loader, 1 + (int)loader->count, words, NULL),
                 REDIS_OK);
}

static int arm_flush(void *loader)
{
    return event_add(((struct loader *)loader)->flush, &(struct timeval){0});
}

static int use_value(void *arg)
{
    const struct load *load = arg;

    EXPECT_TEXT(weft_get("a"), load->a);
    EXPECT_TEXT(load->value, load->a);
    return 0;
}

static int load_later(void *arg)
{
    struct load *load = arg;
    struct loader *loader = load->loader;

    weft_bind(&load->bound, use_value, load);
    if (loader->count == 0)
        EXPECT_EQUAL(weft_exit(arm_flush, loader), 0);
    loader->loads[loader->count++] = load;
    return 0;
}

static void c49_a_batch_is_sent_at_the_root_and_completed_in_each_ones_context(void)
{
    static const char *const keys[] = {"1", "2", "3"};
    enum { COUNT = sizeof(keys) / sizeof(*keys) };
    struct loader loader = {0};
    struct load loads[COUNT];
    long before = weft_contexts_alive();

    (void)redis_server_ask(&redis_client_server, "MSET 1 1 2 2 3 3");
    redis_client_init(&loader.client);
    loader.flush = evtimer_new(loader.client.base, flush, &loader);
    loader.client.outstanding = 1;
    for (size_t i = 0; i < COUNT; i++) {
        loads[i] = (struct load){.loader = &loader, .a = keys[i]};
        EXPECT_EQUAL(weft_run_with("a", keys[i], load_later, &loads[i]), 0);
    }
    redis_client_run(&loader.client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    event_free(loader.flush);
    redis_client_done(&loader.client);
}

/* ---- Singletons ---- */

/* A pool that is made when it is first needed, with a timer that looks after it for ever. */
struct pool {
    struct redis_client client;
    struct event *reaper;
    unsigned reaped;
    const char *a; /* what the reaper is to see */
};

static void reap(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;

    (void)fd;
    (void)what;
    EXPECT_TEXT(weft_get("a"), pool->a);
    if (++pool->reaped == 3)
        (void)event_base_loopbreak(pool->client.base);
}

static int make_pool(void *arg)
{
    struct pool *pool = arg;

    redis_client_init(&pool->client);
    pool->reaper = event_new(pool->client.base, -1, EV_PERSIST, reap, pool);
    return event_add(pool->reaper, &(struct timeval){.tv_usec = 1000});
}

static void used(redisAsyncContext *connection, void *reply, void *arg)
{
    (void)connection;
    EXPECT(reply != NULL);
    EXPECT_TEXT(weft_get("a"), "1");
    redis_client_has_reply(arg);
}

static int make_and_use_pool(void *arg)
{
    struct pool *pool = arg;

    EXPECT_EQUAL(weft_exit(make_pool, pool), 0);
    pool->client.outstanding = 1;
    return redisAsyncCommand(pool->client.connection, used, &pool->client, "PING");
}

static void free_pool(struct pool *pool)
{
    event_free(pool->reaper);
    redis_client_done(&pool->client);
}

static void c51_a_pool_that_a_job_makes_outside_of_its_context_holds_none(void)
{
    struct pool pool = {.a = NULL};
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "1", make_and_use_pool, &pool), 0);
    redis_client_run(&pool.client);
    EXPECT_EQUAL(weft_contexts_alive(), before);
    pool.reaped = 0;
    EXPECT(event_base_dispatch(pool.client.base) >= 0);
    EXPECT_EQUAL(pool.reaped, 3);
    free_pool(&pool);
}

static void c51_a_timer_that_a_job_leaves_running_keeps_its_context_until_it_is_freed(void)
{
    struct pool pool = {.a = "1"};
    long before = weft_contexts_alive();

    EXPECT_EQUAL(weft_run_with("a", "1", make_pool, &pool), 0);
    EXPECT(event_base_dispatch(pool.client.base) >= 0);
    EXPECT_EQUAL(pool.reaped, 3);
    EXPECT_EQUAL(weft_contexts_alive(), before + 1); /* the timer's: the connection is idle by now */
    free_pool(&pool);
    EXPECT_EQUAL(weft_contexts_alive(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFORMANCE_CASE(c49_a_request_that_had_to_queue_runs_in_its_own_context),
        CONFORMANCE_CASE(c49_a_batch_is_sent_at_the_root_and_completed_in_each_ones_context),
        CONFORMANCE_CASE(c51_a_pool_that_a_job_makes_outside_of_its_context_holds_none),
        CONFORMANCE_CASE(c51_a_timer_that_a_job_leaves_running_keeps_its_context_until_it_is_freed),
    };

    return cmocka_run_group_tests_name("redis_sharing", tests, redis_client_group_setup, redis_client_group_teardown);
}
