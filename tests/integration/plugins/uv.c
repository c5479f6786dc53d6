/* libuv: a loop on a thread of the plugin's, with libuv's pool behind it. Requests are bound, and come back by
 * weft_post(). */
#include <string.h>

#include <pthread.h>
#include <uv.h>

#include <weft/weft.h>

static struct {
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_mutex_t lock;
    struct request *first; /* under the lock */
    bool stops;            /* under the lock */
} uv;

/* On the stack of the handler. */
struct request {
    struct request *next;
    uv_work_t work;
    char id[WEFT_ID_SIZE];
    struct weft_bound done;
    struct weft_future over;
};

static void finish(void *arg)
{
    struct request *request = arg;

    weft_info("finish of %s", request->id);
    weft_future_complete(&request->over, 0);
}

static int say_done(void *arg)
{
    struct request *request = arg;

    weft_info("done of %s", request->id);
    return weft_post(NULL, finish, request);
}

static void on_work(uv_work_t *work)
{
    const struct request *request = work->data;

    weft_info("work of %s", request->id);
}

static void after_work(uv_work_t *work, int status)
{
    struct request *request = work->data;

    (void)status;
    weft_call_once(&request->done);
}

static void on_wake(uv_async_t *wake)
{
    uv_mutex_lock(&uv.lock);
    struct request *request = uv.first;
    bool stops = uv.stops;
    uv.first = NULL;
    uv_mutex_unlock(&uv.lock);
    while (request) {
        struct request *next = request->next;

        request->work.data = request;
        uv_queue_work(&uv.loop, &request->work, on_work, after_work);
        request = next;
    }
    if (stops)
        uv_close((uv_handle_t *)wake, NULL);
}

static void *run_loop(void *arg)
{
    uv_run(&uv.loop, UV_RUN_DEFAULT);
    return arg;
}

static int work(struct weft_job *job)
{
    struct request request = {0};

    (void)strcpy(request.id, weft_job_id(job));
    weft_bind(&request.done, say_done, &request);
    uv_mutex_lock(&uv.lock);
    request.next = uv.first;
    uv.first = &request;
    uv_mutex_unlock(&uv.lock);
    uv_async_send(&uv.wake);
    int r = weft_future_wait(&request.over, NULL);
    weft_unbind(&request.done);
    return r;
}

static int start(void)
{
    if (uv_loop_init(&uv.loop) || uv_async_init(&uv.loop, &uv.wake, on_wake) || uv_mutex_init(&uv.lock))
        return -ENOMEM;
    return -pthread_create(&uv.thread, NULL, run_loop, NULL);
}

static void stop(void)
{
    uv_mutex_lock(&uv.lock);
    uv.stops = true;
    uv_mutex_unlock(&uv.lock);
    uv_async_send(&uv.wake);
    pthread_join(uv.thread, NULL);
    uv_loop_close(&uv.loop);
}

WEFT_PLUGIN_WITH_HOOKS("uv", start, stop, WEFT_HANDLER("work", work));
