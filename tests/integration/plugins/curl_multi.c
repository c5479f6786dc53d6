/*
 * libcurl's multi interface with libevent, as its own example has it (hiperfifo.c): one multi handle, one timer and the
 * sockets serve all jobs. What is weft's: the multi handle is driven at the root, and each transfer has its callbacks
 * bound.
 */
#include <string.h>

#include <curl/curl.h>
#include <event2/event.h>

#include <weft/loop.h>
#include <weft/weft.h>

static struct {
    CURLM *multi;
    struct event *timer;
} all;

/* On the stack of the handler that waits for it. */
struct transfer {
    CURL *easy;
    char id[WEFT_ID_SIZE];
    struct weft_bound write, done;
    CURLcode code;
    bool wrote;
    struct weft_future over;
};

/* ---- In the context of the job ---- */

static int say_write(void *arg)
{
    struct transfer *transfer = arg;

    if (!transfer->wrote)
        weft_info("write of %s", transfer->id);
    transfer->wrote = true;
    return 0;
}

static int say_done(void *arg)
{
    struct transfer *transfer = arg;

    weft_info("done of %s", transfer->id);
    weft_future_complete(&transfer->over, 0);
    return 0;
}

/* ---- At the root ---- */

static size_t on_write(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;

    (void)bytes;
    (void)weft_call(&transfer->write);
    return size * count;
}

static void look_for_ends(void)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(all.multi, &left))) {
        struct transfer *transfer;

        if (message->msg != CURLMSG_DONE)
            continue;
        transfer = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        transfer->code = message->data.result;
        curl_multi_remove_handle(all.multi, transfer->easy);
        weft_call_once(&transfer->done);
    }
}

static void on_socket_event(evutil_socket_t fd, short kind, void *arg)
{
    int running, action = (kind & EV_READ ? CURL_CSELECT_IN : 0) | (kind & EV_WRITE ? CURL_CSELECT_OUT : 0);

    (void)arg;
    weft_info("socket");
    curl_multi_socket_action(all.multi, fd, action, &running);
    look_for_ends();
}

static void on_timer_event(evutil_socket_t fd, short kind, void *arg)
{
    int running;

    (void)fd;
    (void)kind;
    (void)arg;
    curl_multi_socket_action(all.multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look_for_ends();
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *arg)
{
    struct event *event = arg;

    (void)easy;
    (void)user;
    if (event)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        event =
            event_new(weft_loop_base(), fd,
                      (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST),
                      on_socket_event, NULL);
        event_add(event, NULL);
    }
    curl_multi_assign(all.multi, fd, event);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

    (void)multi;
    (void)user;
    if (timeout_ms < 0)
        event_del(all.timer);
    else
        event_add(all.timer, &timeout);
    return 0;
}

static int add(void *easy)
{
    return (int)curl_multi_add_handle(all.multi, easy);
}

/* ---- */

static int fetch(struct weft_job *job)
{
    struct transfer transfer = {.easy = curl_easy_init()};

    (void)strcpy(transfer.id, weft_job_id(job));
    curl_easy_setopt(transfer.easy, CURLOPT_URL, weft_job_payload(job, NULL));
    curl_easy_setopt(transfer.easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer.easy, CURLOPT_PRIVATE, &transfer);
    curl_easy_setopt(transfer.easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(transfer.easy, CURLOPT_WRITEDATA, &transfer);
    weft_bind(&transfer.write, say_write, &transfer);
    weft_bind(&transfer.done, say_done, &transfer);
    weft_exit(add, transfer.easy);
    int r = weft_future_wait(&transfer.over, NULL);
    weft_unbind(&transfer.write);
    weft_unbind(&transfer.done);
    curl_easy_cleanup(transfer.easy);
    return r < 0 || transfer.code == CURLE_OK ? r : weft_fail(job, "%s", curl_easy_strerror(transfer.code));
}

static int start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    all.multi = curl_multi_init();
    all.timer = evtimer_new(weft_loop_base(), on_timer_event, NULL);
    curl_multi_setopt(all.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(all.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    return 0;
}

static void stop(void)
{
    curl_multi_cleanup(all.multi);
    event_free(all.timer);
}

WEFT_PLUGIN_WITH_HOOKS("curl_multi", start, stop, WEFT_HANDLER("fetch", fetch));
