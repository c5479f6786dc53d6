/*
 * libcurl in tasks: a transfer that a task awaits, while others run. For plugins, and programs with a weft loop, that
 * are linked with libcurl and libevent_core; weft itself is not. Include it in each file that uses libcurl's easy
 * interface, in place of <curl/curl.h>: it has curl_easy_setopt() and its kin remember the callbacks of each handle.
 *
 *     CURL *easy = curl_easy_init();
 *     curl_easy_setopt(easy, CURLOPT_URL, url);
 *     curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, store);
 *     CURLcode code = weft_curl_perform(easy);
 *     curl_easy_cleanup(easy);
 *
 * All transfers of a thread's loop are in one multi handle, and so share connections. Its sockets and its timer are at
 * the root, since they serve all; the callbacks of a transfer run in the context of the task that awaits it. These are
 * those for reading, writing, headers, progress, seeking, debugging, sockets (but not for closing them, which may
 * happen long after the transfer), the SSL context, the resolver, trailers, and the one before a request. What libcurl
 * calls by other ways runs at the root: callbacks of the TLS library, of shares, and of SSH.
 *
 * Callbacks run on the loop and must not wait. Elsewhere, such as in a chain that blocks, curl_easy_perform() works as
 * it always does.
 */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <event2/event.h>

#include <weft/context.h>
#include <weft/loop.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

/* Once in a plugin, in however many files this is included. */
#define WEFT_CURL_SHARED_ __attribute__((weak, visibility("hidden")))

/* Performs the transfer while the calling task waits. Gives what curl_easy_perform() would; CURLE_ABORTED_BY_CALLBACK,
 * with errno ECANCELED or ETIME, where the task was cancelled or has run out of time: the transfer has ended then, too.
 * CURLE_FAILED_INIT with errno EDEADLK: not in a task; EBUSY: the handle is being performed. The handle stays the
 * caller's, who must not use it meanwhile but in its callbacks. */
WEFT_CURL_SHARED_ CURLcode weft_curl_perform(CURL *easy) WEFT_MAY_WAIT;

/* The multi handle of this thread's loop, for curl_multi_setopt() with options such as CURLMOPT_MAX_HOST_CONNECTIONS;
 * NULL: there is no loop, or no memory. */
WEFT_CURL_SHARED_ CURLM *weft_curl_multi(void);

/* Closes the connections of this thread's loop, and frees its multi handle: for a plugin's `stop`. Does nothing while
 * there are transfers. */
WEFT_CURL_SHARED_ void weft_curl_done(void);

/* ---- What libcurl is told in place of the user's callbacks ---- */

enum weft_curl_callback_ {
    WEFT_CURL_WRITE_,
    WEFT_CURL_HEADER_,
    WEFT_CURL_INTERLEAVE_,
    WEFT_CURL_READ_,
    WEFT_CURL_XFERINFO_,
    WEFT_CURL_DEBUG_,
    WEFT_CURL_SEEK_,
    WEFT_CURL_SOCKOPT_,
    WEFT_CURL_OPENSOCKET_,
    WEFT_CURL_SSL_CTX_,
    WEFT_CURL_RESOLVER_START_,
    WEFT_CURL_TRAILER_,
    WEFT_CURL_PREREQ_,
    WEFT_CURL_CALLBACKS_
};

/* What is known of an easy handle. */
struct weft_curl_handle_ {
    struct weft_curl_handle_ *next;
    CURL *easy;
    struct weft_context *context; /* while it is performed; NULL: the root */
    struct weft_future *done;     /* while it is performed, completed with a CURLcode */
    struct {
        void (*function)(void);
        void *data;
    } callbacks[WEFT_CURL_CALLBACKS_];
};

/* The function and what it is to be called with, in the context of the transfer. One that is written for headers, or
 * interleaved data, may be missing: libcurl uses the one for the body then. */
#define WEFT_CURL_CALLBACK_(name_, callback_, type_, result_, parameters_, ...)                                        \
    WEFT_CURL_SHARED_ result_ name_ parameters_;                                                                       \
    WEFT_CURL_SHARED_ result_ name_ parameters_                                                                        \
    {                                                                                                                  \
        struct weft_curl_handle_ *handle = (struct weft_curl_handle_ *)weft_arg;                                       \
        type_ function = (type_)handle->callbacks[callback_].function;                                                 \
        void *data = handle->callbacks[callback_].data;                                                                \
        struct weft_scope scope;                                                                                       \
        if (callback_ <= WEFT_CURL_INTERLEAVE_ && !function)                                                           \
            function = (type_)handle->callbacks[WEFT_CURL_WRITE_].function;                                            \
        if (!handle->context)                                                                                          \
            return function(__VA_ARGS__);                                                                              \
        weft_scope_begin_in(&scope, handle->context);                                                                  \
        result_ result = function(__VA_ARGS__);                                                                        \
        (void)weft_scope_end(&scope);                                                                                  \
        return result;                                                                                                 \
    }

#define WEFT_CURL_DATA_CALLBACK_(name_, callback_)                                                                     \
    WEFT_CURL_CALLBACK_(name_, callback_, curl_write_callback, size_t,                                                 \
                        (char *bytes, size_t size, size_t count, void *weft_arg), bytes, size, count, data)

WEFT_CURL_DATA_CALLBACK_(weft_curl_on_write_, WEFT_CURL_WRITE_)
WEFT_CURL_DATA_CALLBACK_(weft_curl_on_header_, WEFT_CURL_HEADER_)
WEFT_CURL_DATA_CALLBACK_(weft_curl_on_interleave_, WEFT_CURL_INTERLEAVE_)
WEFT_CURL_DATA_CALLBACK_(weft_curl_on_read_, WEFT_CURL_READ_)
WEFT_CURL_CALLBACK_(weft_curl_on_xferinfo_, WEFT_CURL_XFERINFO_, curl_xferinfo_callback, int,
                    (void *weft_arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now), data,
                    total, now, up_total, up_now)
WEFT_CURL_CALLBACK_(weft_curl_on_debug_, WEFT_CURL_DEBUG_, curl_debug_callback, int,
                    (CURL * easy, curl_infotype kind, char *text, size_t size, void *weft_arg), easy, kind, text, size,
                    data)
WEFT_CURL_CALLBACK_(weft_curl_on_seek_, WEFT_CURL_SEEK_, curl_seek_callback, int,
                    (void *weft_arg, curl_off_t offset, int whence), data, offset, whence)
WEFT_CURL_CALLBACK_(weft_curl_on_sockopt_, WEFT_CURL_SOCKOPT_, curl_sockopt_callback, int,
                    (void *weft_arg, curl_socket_t fd, curlsocktype purpose), data, fd, purpose)
WEFT_CURL_CALLBACK_(weft_curl_on_opensocket_, WEFT_CURL_OPENSOCKET_, curl_opensocket_callback, curl_socket_t,
                    (void *weft_arg, curlsocktype purpose, struct curl_sockaddr *address), data, purpose, address)
WEFT_CURL_CALLBACK_(weft_curl_on_ssl_ctx_, WEFT_CURL_SSL_CTX_, curl_ssl_ctx_callback, CURLcode,
                    (CURL * easy, void *ssl_ctx, void *weft_arg), easy, ssl_ctx, data)
WEFT_CURL_CALLBACK_(weft_curl_on_resolver_start_, WEFT_CURL_RESOLVER_START_, curl_resolver_start_callback, int,
                    (void *state, void *reserved, void *weft_arg), state, reserved, data)
WEFT_CURL_CALLBACK_(weft_curl_on_trailer_, WEFT_CURL_TRAILER_, curl_trailer_callback, int,
                    (struct curl_slist * *list, void *weft_arg), list, data)
#if LIBCURL_VERSION_NUM >= 0x075000
WEFT_CURL_CALLBACK_(weft_curl_on_prereq_, WEFT_CURL_PREREQ_, curl_prereq_callback, int,
                    (void *weft_arg, char *remote, char *local, int remote_port, int local_port), data, remote, local,
                    remote_port, local_port)
#endif

struct weft_curl_option_ {
    enum weft_curl_callback_ callback;
    int function, data; /* CURLoption */
    void (*replacement)(void);
};

#define WEFT_CURL_OPTION_(upper_, lower_, function_, data_)                                                            \
    {                                                                                                                  \
        WEFT_CURL_##upper_##_, CURLOPT_##function_, CURLOPT_##data_, (void (*)(void))weft_curl_on_##lower_##_          \
    }

/* The rows, one after the other; NULL: there are no more. */
WEFT_CURL_SHARED_ const struct weft_curl_option_ *weft_curl_option_(unsigned row);
WEFT_CURL_SHARED_ const struct weft_curl_option_ *weft_curl_option_(unsigned row)
{
    static const struct weft_curl_option_ options[] = {
        WEFT_CURL_OPTION_(WRITE, write, WRITEFUNCTION, WRITEDATA),
        WEFT_CURL_OPTION_(HEADER, header, HEADERFUNCTION, HEADERDATA),
        WEFT_CURL_OPTION_(INTERLEAVE, interleave, INTERLEAVEFUNCTION, INTERLEAVEDATA),
        WEFT_CURL_OPTION_(READ, read, READFUNCTION, READDATA),
        WEFT_CURL_OPTION_(XFERINFO, xferinfo, XFERINFOFUNCTION, XFERINFODATA),
        WEFT_CURL_OPTION_(DEBUG, debug, DEBUGFUNCTION, DEBUGDATA),
        WEFT_CURL_OPTION_(SEEK, seek, SEEKFUNCTION, SEEKDATA),
        WEFT_CURL_OPTION_(SOCKOPT, sockopt, SOCKOPTFUNCTION, SOCKOPTDATA),
        WEFT_CURL_OPTION_(OPENSOCKET, opensocket, OPENSOCKETFUNCTION, OPENSOCKETDATA),
        WEFT_CURL_OPTION_(SSL_CTX, ssl_ctx, SSL_CTX_FUNCTION, SSL_CTX_DATA),
        WEFT_CURL_OPTION_(RESOLVER_START, resolver_start, RESOLVER_START_FUNCTION, RESOLVER_START_DATA),
        WEFT_CURL_OPTION_(TRAILER, trailer, TRAILERFUNCTION, TRAILERDATA),
#if LIBCURL_VERSION_NUM >= 0x075000
        WEFT_CURL_OPTION_(PREREQ, prereq, PREREQFUNCTION, PREREQDATA),
#endif
    };

    return row < sizeof(options) / sizeof(*options) ? &options[row] : NULL;
}

/* ---- Handles ---- */

/* By their address: libcurl tells nothing about the callbacks that it was given. */
enum { WEFT_CURL_BUCKETS_ = 256 };

struct weft_curl_handles_ {
    pthread_mutex_t lock;
    struct weft_curl_handle_ *first[WEFT_CURL_BUCKETS_];
};

WEFT_CURL_SHARED_ struct weft_curl_handles_ weft_curl_handles_ = {PTHREAD_MUTEX_INITIALIZER, {NULL}};

WEFT_CURL_SHARED_ struct weft_curl_handle_ **weft_curl_bucket_(const CURL *easy);
WEFT_CURL_SHARED_ struct weft_curl_handle_ **weft_curl_bucket_(const CURL *easy)
{
    return &weft_curl_handles_.first[((uintptr_t)easy * UINT64_C(0x9E3779B97F4A7C15)) >> 56];
}

/* NULL: it is not known. */
WEFT_CURL_SHARED_ struct weft_curl_handle_ *weft_curl_find_(const CURL *easy);
WEFT_CURL_SHARED_ struct weft_curl_handle_ *weft_curl_find_(const CURL *easy)
{
    (void)pthread_mutex_lock(&weft_curl_handles_.lock);
    struct weft_curl_handle_ *handle = *weft_curl_bucket_(easy);
    while (handle && handle->easy != easy)
        handle = handle->next;
    (void)pthread_mutex_unlock(&weft_curl_handles_.lock);
    return handle;
}

/* What libcurl has by itself: where there is a function and no data, it is called with these. */
WEFT_CURL_SHARED_ void weft_curl_clear_(struct weft_curl_handle_ *handle);
WEFT_CURL_SHARED_ void weft_curl_clear_(struct weft_curl_handle_ *handle)
{
    for (unsigned i = 0; i < WEFT_CURL_CALLBACKS_; i++) {
        handle->callbacks[i].function = NULL;
        handle->callbacks[i].data = NULL;
    }
    handle->callbacks[WEFT_CURL_WRITE_].data = stdout;
    handle->callbacks[WEFT_CURL_READ_].data = stdin;
}

/* Makes it known if it is not; NULL: no memory. */
WEFT_CURL_SHARED_ struct weft_curl_handle_ *weft_curl_know_(CURL *easy);
WEFT_CURL_SHARED_ struct weft_curl_handle_ *weft_curl_know_(CURL *easy)
{
    struct weft_curl_handle_ *handle = weft_curl_find_(easy);

    if (handle)
        return handle;
    handle = (struct weft_curl_handle_ *)calloc(1, sizeof(*handle));
    if (!handle)
        return NULL;
    handle->easy = easy;
    weft_curl_clear_(handle);
    (void)pthread_mutex_lock(&weft_curl_handles_.lock);
    handle->next = *weft_curl_bucket_(easy);
    *weft_curl_bucket_(easy) = handle;
    (void)pthread_mutex_unlock(&weft_curl_handles_.lock);
    return handle;
}

/* Gives what was known of it, to be freed; NULL: nothing. */
WEFT_CURL_SHARED_ struct weft_curl_handle_ *weft_curl_forget_(const CURL *easy);
WEFT_CURL_SHARED_ struct weft_curl_handle_ *weft_curl_forget_(const CURL *easy)
{
    (void)pthread_mutex_lock(&weft_curl_handles_.lock);
    struct weft_curl_handle_ **link = weft_curl_bucket_(easy);
    while (*link && (*link)->easy != easy)
        link = &(*link)->next;
    struct weft_curl_handle_ *handle = *link;
    if (handle)
        *link = handle->next;
    (void)pthread_mutex_unlock(&weft_curl_handles_.lock);
    return handle;
}

/* Headers and interleaved data that have no function go to the one for the body. */
static inline int weft_curl_falls_back_(enum weft_curl_callback_ callback)
{
    return callback == WEFT_CURL_HEADER_ || callback == WEFT_CURL_INTERLEAVE_;
}

/* Whether libcurl is to call the replacement of a callback. */
static inline int weft_curl_replaces_(const struct weft_curl_handle_ *handle, enum weft_curl_callback_ callback)
{
    return handle->callbacks[callback].function ||
           (weft_curl_falls_back_(callback) && handle->callbacks[callback].data &&
            handle->callbacks[WEFT_CURL_WRITE_].function);
}

/* Tells libcurl about the callbacks that there are, and about the one whose option has been changed. */
WEFT_CURL_SHARED_ CURLcode weft_curl_install_(const struct weft_curl_handle_ *handle, int changed);
WEFT_CURL_SHARED_ CURLcode weft_curl_install_(const struct weft_curl_handle_ *handle, int changed)
{
    const struct weft_curl_option_ *option;
    CURLcode code = CURLE_OK;

    for (unsigned i = 0; code == CURLE_OK && (option = weft_curl_option_(i)); i++) {
        int replaces = weft_curl_replaces_(handle, option->callback);
        int is_changed = option->function == changed || option->data == changed ||
                         (weft_curl_falls_back_(option->callback) && changed == CURLOPT_WRITEFUNCTION);

        if (!replaces && !is_changed)
            continue;
        code = (curl_easy_setopt)(handle->easy, (CURLoption)option->function,
                                  replaces ? option->replacement : (void (*)(void))NULL);
        if (code == CURLE_OK)
            code = (curl_easy_setopt)(handle->easy, (CURLoption)option->data,
                                      replaces ? (void *)handle : handle->callbacks[option->callback].data);
    }
    return code;
}

/* ---- In place of libcurl's functions ---- */

/* Whether the option is about a callback: its function, or what that is given. */
WEFT_CURL_SHARED_ int weft_curl_is_callback_(int wanted);
WEFT_CURL_SHARED_ int weft_curl_is_callback_(int wanted)
{
    const struct weft_curl_option_ *option;

    for (unsigned i = 0; (option = weft_curl_option_(i)); i++)
        if (option->function == wanted || option->data == wanted)
            return 1;
    return 0;
}

WEFT_CURL_SHARED_ CURLcode weft_curl_set_callback_(CURL *easy, int wanted, void (*function)(void), void *data);
WEFT_CURL_SHARED_ CURLcode weft_curl_set_callback_(CURL *easy, int wanted, void (*function)(void), void *data)
{
    struct weft_curl_handle_ *handle = easy ? weft_curl_know_(easy) : NULL;
    const struct weft_curl_option_ *option;

    if (!handle)
        return easy ? CURLE_OUT_OF_MEMORY : CURLE_BAD_FUNCTION_ARGUMENT;
    for (unsigned i = 0; (option = weft_curl_option_(i)); i++) {
        if (option->function == wanted)
            handle->callbacks[option->callback].function = function;
        if (option->data == wanted)
            handle->callbacks[option->callback].data = data;
    }
    return weft_curl_install_(handle, wanted);
}

/* An option's type is in its number. */
WEFT_CURL_SHARED_ CURLcode weft_curl_setopt_(CURL *easy, int option, ...);
WEFT_CURL_SHARED_ CURLcode weft_curl_setopt_(CURL *easy, int option, ...)
{
    int kind = option / 10000 * 10000, is_callback = weft_curl_is_callback_(option);
    CURLcode code;
    va_list args;

    va_start(args, option);
    if (kind == CURLOPTTYPE_LONG)
        code = (curl_easy_setopt)(easy, (CURLoption)option, va_arg(args, long));
    else if (kind == CURLOPTTYPE_OFF_T)
        code = (curl_easy_setopt)(easy, (CURLoption)option, va_arg(args, curl_off_t));
    else if (is_callback && kind == CURLOPTTYPE_FUNCTIONPOINT)
        code = weft_curl_set_callback_(easy, option, va_arg(args, void (*)(void)), NULL);
    else if (is_callback)
        code = weft_curl_set_callback_(easy, option, NULL, va_arg(args, void *));
    else
        code = (curl_easy_setopt)(easy, (CURLoption)option, va_arg(args, void *));
    va_end(args);
    return code;
}

WEFT_CURL_SHARED_ void weft_curl_reset_(CURL *easy);
WEFT_CURL_SHARED_ void weft_curl_reset_(CURL *easy)
{
    struct weft_curl_handle_ *handle = weft_curl_find_(easy);

    curl_easy_reset(easy);
    if (handle)
        weft_curl_clear_(handle);
}

/* It is forgotten first: its address is another handle's as soon as it is gone. */
WEFT_CURL_SHARED_ void weft_curl_cleanup_(CURL *easy);
WEFT_CURL_SHARED_ void weft_curl_cleanup_(CURL *easy)
{
    struct weft_curl_handle_ *handle = easy ? weft_curl_forget_(easy) : NULL;

    curl_easy_cleanup(easy);
    free(handle);
}

WEFT_CURL_SHARED_ CURL *weft_curl_duplicate_(CURL *easy);
WEFT_CURL_SHARED_ CURL *weft_curl_duplicate_(CURL *easy)
{
    const struct weft_curl_handle_ *old = weft_curl_find_(easy);
    CURL *copy = curl_easy_duphandle(easy);
    struct weft_curl_handle_ *handle = copy && old ? weft_curl_know_(copy) : NULL;

    for (unsigned i = 0; handle && i < WEFT_CURL_CALLBACKS_; i++)
        handle->callbacks[i] = old->callbacks[i];
    if (!copy || !old || (handle && weft_curl_install_(handle, 0) == CURLE_OK))
        return copy;
    weft_curl_cleanup_(copy);
    return NULL;
}

#undef curl_easy_setopt
#define curl_easy_setopt(easy_, option_, value_) weft_curl_setopt_((easy_), (int)(option_), (value_))
#define curl_easy_reset(easy_)                   weft_curl_reset_(easy_)
#define curl_easy_cleanup(easy_)                 weft_curl_cleanup_(easy_)
#define curl_easy_duphandle(easy_)               weft_curl_duplicate_(easy_)

/* ---- The multi handle ---- */

struct weft_curl_worker_ {
    CURLM *multi;
    struct event_base *base;
    struct event *timer;
    unsigned transfers;
};

WEFT_CURL_SHARED_ __thread struct weft_curl_worker_ weft_curl_worker_ = {NULL, NULL, NULL, 0};

/* Tells those whose transfers have ended. */
WEFT_CURL_SHARED_ void weft_curl_look_(void);
WEFT_CURL_SHARED_ void weft_curl_look_(void)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(weft_curl_worker_.multi, &left))) {
        struct weft_curl_handle_ *handle = weft_curl_find_(message->easy_handle);
        CURLcode result = message->data.result;

        if (message->msg != CURLMSG_DONE || !handle || !handle->done)
            continue;
        (void)curl_multi_remove_handle(weft_curl_worker_.multi, handle->easy);
        weft_future_complete(handle->done, (int)result);
        handle->done = NULL;
    }
}

WEFT_CURL_SHARED_ void weft_curl_on_ready_(evutil_socket_t fd, short what, void *arg);
WEFT_CURL_SHARED_ void weft_curl_on_ready_(evutil_socket_t fd, short what, void *arg)
{
    int running, ready = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    (void)arg;
    (void)curl_multi_socket_action(weft_curl_worker_.multi, what & EV_TIMEOUT ? CURL_SOCKET_TIMEOUT : fd, ready,
                                   &running);
    weft_curl_look_();
}

/* What libcurl asks to have watched. It may ask inside of a callback, in the context of a transfer. */
struct weft_curl_request_ {
    curl_socket_t fd;
    int what;
    struct event *event;
    long timeout_ms;
    int result;
};

WEFT_CURL_SHARED_ int weft_curl_watch_(void *arg);
WEFT_CURL_SHARED_ int weft_curl_watch_(void *arg)
{
    struct weft_curl_request_ *request = (struct weft_curl_request_ *)arg;
    short events = (short)(EV_PERSIST | (request->what & CURL_POLL_IN ? EV_READ : 0) |
                           (request->what & CURL_POLL_OUT ? EV_WRITE : 0));

    if (request->event)
        event_free(request->event);
    request->event = NULL;
    if (request->what != CURL_POLL_REMOVE) {
        request->event = event_new(weft_curl_worker_.base, request->fd, events, weft_curl_on_ready_, NULL);
        if (!request->event || event_add(request->event, NULL) < 0)
            return -1;
    }
    (void)curl_multi_assign(weft_curl_worker_.multi, request->fd, request->event);
    return 0;
}

WEFT_CURL_SHARED_ int weft_curl_on_socket_(CURL *easy, curl_socket_t fd, int what, void *user, void *event);
WEFT_CURL_SHARED_ int weft_curl_on_socket_(CURL *easy, curl_socket_t fd, int what, void *user, void *event)
{
    struct weft_curl_request_ request = {fd, what, (struct event *)event, 0, 0};

    (void)easy;
    (void)user;
    return weft_exit(weft_curl_watch_, &request);
}

WEFT_CURL_SHARED_ int weft_curl_wait_(void *arg);
WEFT_CURL_SHARED_ int weft_curl_wait_(void *arg)
{
    const struct weft_curl_request_ *request = (const struct weft_curl_request_ *)arg;
    struct timeval timeout;

    if (request->timeout_ms < 0)
        return event_del(weft_curl_worker_.timer);
    timeout.tv_sec = request->timeout_ms / 1000;
    timeout.tv_usec = request->timeout_ms % 1000 * 1000;
    return event_add(weft_curl_worker_.timer, &timeout);
}

WEFT_CURL_SHARED_ int weft_curl_on_timer_(CURLM *multi, long timeout_ms, void *user);
WEFT_CURL_SHARED_ int weft_curl_on_timer_(CURLM *multi, long timeout_ms, void *user)
{
    struct weft_curl_request_ request = {CURL_SOCKET_BAD, 0, NULL, timeout_ms, 0};

    (void)multi;
    (void)user;
    return weft_exit(weft_curl_wait_, &request);
}

/* At the root. */
WEFT_CURL_SHARED_ int weft_curl_begin_(void *arg);
WEFT_CURL_SHARED_ int weft_curl_begin_(void *arg)
{
    struct weft_curl_worker_ *worker = (struct weft_curl_worker_ *)arg;

    worker->base = weft_loop_base();
    worker->timer = worker->base ? evtimer_new(worker->base, weft_curl_on_ready_, NULL) : NULL;
    worker->multi = worker->timer ? curl_multi_init() : NULL;
    if (worker->multi) {
        (void)curl_multi_setopt(worker->multi, CURLMOPT_SOCKETFUNCTION, weft_curl_on_socket_);
        (void)curl_multi_setopt(worker->multi, CURLMOPT_TIMERFUNCTION, weft_curl_on_timer_);
        return 0;
    }
    if (worker->timer)
        event_free(worker->timer);
    worker->timer = NULL;
    return -1;
}

WEFT_CURL_SHARED_ CURLM *weft_curl_multi(void)
{
    if (!weft_curl_worker_.multi)
        (void)weft_exit(weft_curl_begin_, &weft_curl_worker_);
    return weft_curl_worker_.multi;
}

WEFT_CURL_SHARED_ void weft_curl_done(void)
{
    struct weft_curl_worker_ *worker = &weft_curl_worker_;

    if (!worker->multi || worker->transfers > 0)
        return;
    (void)curl_multi_cleanup(worker->multi);
    event_free(worker->timer);
    worker->multi = NULL;
    worker->timer = NULL;
}

/* ---- A transfer ---- */

WEFT_CURL_SHARED_ int weft_curl_add_(void *easy);
WEFT_CURL_SHARED_ int weft_curl_add_(void *easy)
{
    return (int)curl_multi_add_handle(weft_curl_worker_.multi, easy);
}

WEFT_CURL_SHARED_ int weft_curl_remove_(void *easy);
WEFT_CURL_SHARED_ int weft_curl_remove_(void *easy)
{
    return (int)curl_multi_remove_handle(weft_curl_worker_.multi, easy);
}

static inline CURLcode weft_curl_refuse_(CURLcode code, int error)
{
    errno = error;
    return code;
}

WEFT_CURL_SHARED_ CURLcode weft_curl_perform(CURL *easy)
{
    struct weft_curl_handle_ *handle = easy ? weft_curl_know_(easy) : NULL;
    struct weft_future done = {false, 0, NULL};
    int result = CURLE_OK;

    if (!weft_task_current())
        return weft_curl_refuse_(CURLE_FAILED_INIT, EDEADLK);
    if (!handle || !weft_curl_multi())
        return weft_curl_refuse_(easy ? CURLE_OUT_OF_MEMORY : CURLE_BAD_FUNCTION_ARGUMENT, easy ? ENOMEM : EINVAL);
    if (handle->done)
        return weft_curl_refuse_(CURLE_FAILED_INIT, EBUSY);

    handle->context = weft_capture();
    handle->done = &done;
    weft_curl_worker_.transfers++;
    int r = weft_exit(weft_curl_add_, easy);
    if (r != CURLM_OK)
        result = r == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;
    else if (weft_future_wait(&done, &result) < 0) {
        int error = errno;

        if (!done.done)
            (void)weft_exit(weft_curl_remove_, easy);
        errno = error;
        result = CURLE_ABORTED_BY_CALLBACK;
    }
    weft_curl_worker_.transfers--;
    handle->done = NULL;
    handle->context = weft_context_unref(handle->context);
    return (CURLcode)result;
}

WEFT_END_DECLS
