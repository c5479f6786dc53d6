/*
 * OpenSSL by libevent's bufferevents. Callbacks of the bufferevent are followed. Those that OpenSSL calls inside of a
 * handshake run wherever the bytes arrive: they find their context by the connection.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

#include <weft/loop.h>
#include <weft/weft.h>

static SSL_CTX *tls;

/* On the stack of the handler. */
struct exchange {
    char id[WEFT_ID_SIZE];
    struct weft_context *context;
    struct weft_future over;
    bool has_verified, has_informed;
};

static void say_in_context(const struct exchange *exchange, const char *what)
{
    struct weft_scope scope;

    weft_scope_begin_in(&scope, exchange->context);
    weft_info("%s of %s", what, exchange->id);
    weft_scope_end(&scope);
}

static int on_verify(int is_ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct exchange *exchange = SSL_get_app_data(ssl);

    (void)is_ok;
    if (!exchange->has_verified)
        say_in_context(exchange, "verify");
    exchange->has_verified = true;
    return 1;
}

static void on_info(const SSL *ssl, int where, int result)
{
    struct exchange *exchange = SSL_get_app_data(ssl);

    (void)where;
    (void)result;
    if (exchange && !exchange->has_informed) {
        exchange->has_informed = true;
        say_in_context(exchange, "info");
    }
}

static void on_read(struct bufferevent *connection, void *arg)
{
    struct exchange *exchange = arg;
    char line[WEFT_ID_SIZE + 1] = "";

    if (evbuffer_get_length(bufferevent_get_input(connection)) < strlen(exchange->id))
        return;
    bufferevent_read(connection, line, sizeof(line) - 1);
    weft_info("read of %s", exchange->id);
    weft_future_complete(&exchange->over, strcmp(line, exchange->id) == 0 ? 0 : -EPROTO);
}

static void on_event(struct bufferevent *connection, short what, void *arg)
{
    struct exchange *exchange = arg;

    if (what & BEV_EVENT_CONNECTED) {
        weft_info("connected of %s", exchange->id);
        bufferevent_write(connection, exchange->id, strlen(exchange->id));
    } else {
        weft_future_complete(&exchange->over, -EIO);
    }
}

static int echo(struct weft_job *job)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct exchange exchange = {.context = weft_capture()};
    SSL *ssl = SSL_new(tls);
    int result = 0;

    server.sin_port = htons((uint16_t)atoi(weft_job_payload(job, NULL)));
    (void)strcpy(exchange.id, weft_job_id(job));
    SSL_set_app_data(ssl, &exchange);
    struct bufferevent *connection =
        bufferevent_openssl_socket_new(weft_loop_base(), -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(connection, on_read, NULL, on_event, &exchange);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
    if (bufferevent_socket_connect(connection, (struct sockaddr *)&server, sizeof(server)) < 0)
        result = -EIO;
    int r = result < 0 ? result : weft_future_wait(&exchange.over, &result);
    bufferevent_free(connection);
    exchange.context = weft_context_unref(exchange.context);
    return r < 0 ? r : result;
}

static int start(void)
{
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(tls, on_info);
    return tls ? 0 : -ENOMEM;
}

static void stop(void)
{
    SSL_CTX_free(tls);
}

WEFT_PLUGIN_WITH_HOOKS("tls", start, stop, WEFT_HANDLER("echo", echo));
