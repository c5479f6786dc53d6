/* Transfers that tasks await, by <weft/curl.h>: each callback says for which job it was called. */
#define _GNU_SOURCE
#include <string.h>

#include <weft/curl.h>
#include <weft/weft.h>

struct page {
    char id[WEFT_ID_SIZE];
    size_t bytes;
    unsigned said; /* a bit for each kind of callback */
};

static void say_once(struct page *page, unsigned bit, const char *what)
{
    if (page->said & 1u << bit)
        return;
    page->said |= 1u << bit;
    weft_info("%s of %s", what, page->id);
}

static size_t on_write(char *bytes, size_t size, size_t count, void *arg)
{
    struct page *page = arg;

    (void)bytes;
    page->bytes += size * count;
    say_once(page, 0, "write");
    return size * count;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    (void)bytes;
    say_once(arg, 1, "header");
    return size * count;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    (void)total;
    (void)now;
    (void)up_total;
    (void)up_now;
    say_once(arg, 2, "progress");
    return 0;
}

static int on_debug(CURL *easy, curl_infotype kind, char *text, size_t size, void *arg)
{
    (void)easy;
    (void)kind;
    (void)text;
    (void)size;
    say_once(arg, 3, "debug");
    return 0;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    say_once(arg, 4, "socket");
    return socket(address->family, address->socktype, address->protocol);
}

static int on_sockopt(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)fd;
    (void)purpose;
    say_once(arg, 5, "sockopt");
    return CURL_SOCKOPT_OK;
}

static int on_request(void *arg, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    say_once(arg, 6, "request");
    return CURL_PREREQFUNC_OK;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *arg)
{
    struct page *page = arg;

    (void)size;
    (void)count;
    if (page->said & 1u << 7)
        return 0;
    say_once(page, 7, "upload");
    *bytes = 'x';
    return 1;
}

static CURL *new_easy(struct page *page, const char *url)
{
    CURL *easy = curl_easy_init();

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    /* In any order, and some without data of their own. */
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, page);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, page);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, page);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, page);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, page);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_sockopt);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, page);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, page);
    return easy;
}

static int result_of(struct weft_job *job, CURL *easy, CURLcode code)
{
    long status = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        return weft_fail(job, "%s", curl_easy_strerror(code));
    return status == 200 ? 0 : weft_fail(job, "status %ld", status);
}

/* Twice, so that the second time is on a connection that may have been another job's. */
static int fetch(struct weft_job *job)
{
    struct page *page = weft_alloc(job, sizeof(*page));
    CURL *easy = new_easy(page, weft_job_payload(job, NULL));
    int r = 0;

    (void)strcpy(page->id, weft_job_id(job));
    for (int i = 0; r == 0 && i < 2; i++) {
        r = result_of(job, easy, weft_curl_perform(easy));
        weft_info("fetch of %s", page->id);
    }
    curl_easy_cleanup(easy);
    return r;
}

/* A copy of a handle has callbacks of its own; headers go to the function for the body where they have data only. */
static int upload(struct weft_job *job)
{
    struct page *page = weft_alloc(job, sizeof(*page));
    CURL *first = new_easy(page, weft_job_payload(job, NULL)), *easy;

    (void)strcpy(page->id, weft_job_id(job));
    curl_easy_setopt(first, CURLOPT_HEADERFUNCTION, NULL);
    curl_easy_setopt(first, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(first, CURLOPT_INFILESIZE_LARGE, (curl_off_t)1);
    curl_easy_setopt(first, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(first, CURLOPT_READDATA, page);
    easy = curl_easy_duphandle(first);
    curl_easy_cleanup(first);
    int r = result_of(job, easy, weft_curl_perform(easy));
    if (r == 0 && page->bytes < 100)
        r = weft_fail(job, "the headers were not given to the function for the body");
    weft_info("fetch of %s", page->id);
    curl_easy_reset(easy);
    curl_easy_cleanup(easy);
    return r;
}

/* Where the task is cancelled or out of time, the transfer is over when this goes on. */
static int hang(struct weft_job *job)
{
    struct page *page = weft_alloc(job, sizeof(*page));
    CURL *easy = new_easy(page, weft_job_payload(job, NULL));

    (void)strcpy(page->id, weft_job_id(job));
    CURLcode code = weft_curl_perform(easy);
    int error = errno;
    weft_info("hang of %s", page->id);
    weft_log_with(WEFT_INFO, "transfer ended", WEFT_TEXT("error", strerrorname_np(error)), WEFT_INT("code", code));
    code = weft_curl_perform(easy);
    weft_log_with(WEFT_INFO, "next transfer ended", WEFT_TEXT("error", strerrorname_np(errno)), WEFT_INT("code", code));
    curl_easy_cleanup(easy);
    return -error;
}

static int fetch_on_thread(void *easy)
{
    CURLcode code = weft_curl_perform(easy);

    if (code != CURLE_FAILED_INIT || errno != EDEADLK)
        return -EPROTO;
    return curl_easy_perform(easy) == CURLE_OK ? 0 : -EIO;
}

/* Elsewhere than in a task, it is libcurl that waits. */
static int offload(struct weft_job *job)
{
    struct page *page = weft_alloc(job, sizeof(*page));
    CURL *easy = new_easy(page, weft_job_payload(job, NULL));
    int result = 0;

    (void)strcpy(page->id, weft_job_id(job));
    int r = weft_offload(fetch_on_thread, easy, &result);
    weft_info("fetch of %s", page->id);
    curl_easy_cleanup(easy);
    return r < 0 ? r : result;
}

static int start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return 0;
}

static void stop(void)
{
    weft_curl_done();
}

WEFT_PLUGIN_WITH_HOOKS("curl", start, stop, WEFT_HANDLER("fetch", fetch), WEFT_HANDLER("upload", upload),
                       WEFT_HANDLER("hang", hang), WEFT_HANDLER("offload", offload));
