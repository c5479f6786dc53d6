#include "daemon/config/redis_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "context/cleanup.h"
#include "context/macros.h"
#include "context/name.h"
#include "queue/message/units.h"

#define FORMS "redis://[USER@]HOST[:PORT][/DB], unix:///PATH[?db=N] or embedded"

#define PORT_DEFAULT  6379
#define PORT_MAX      65535
#define DATABASE_MAX  65535
#define HOST_SIZE_MAX 255

/* A piece of the URL, without a NUL. */
struct piece {
    const char *text;
    size_t size;
};

static struct piece piece_between(const char *begin, const char *end)
{
    return (struct piece){begin, (size_t)(end - begin)};
}

static int copy_piece(struct piece piece, char **ret_text)
{
    char *text = strndup(piece.text, piece.size);

    if (!text)
        return -ENOMEM;
    *ret_text = text;
    return 0;
}

static int parse_number(struct config_reader *reader, struct config_mark mark, const char *what, struct piece piece,
                        int min, int max, int *ret_number)
{
    int64_t number;

    if (units_parse_integer(piece.text, piece.size, min, max, &number) < 0)
        return config_reader_fail(reader, mark, "the %s in \"redis.url\" must be a whole number between %d and %d",
                                  what, min, max);
    *ret_number = (int)number;
    return 0;
}

/* ---- redis:// ---- */

/* What comes between `redis://` and the path. */
struct authority {
    struct piece user; /* text NULL: none */
    struct piece host; /* without the brackets of IPv6 */
    struct piece port; /* text NULL: none */
};

/* Gives what follows the host, or NULL where it is none. */
static const char *split_host(struct piece text, struct piece *ret_host)
{
    const char *end = text.text + text.size;
    const char *host_end;

    if (text.size > 0 && text.text[0] == '[') {
        host_end = memchr(text.text, ']', text.size);
        if (!host_end)
            return NULL;
        *ret_host = piece_between(text.text + 1, host_end);
        char address[INET6_ADDRSTRLEN];
        struct in6_addr ignored;

        if (ret_host->size >= sizeof(address))
            return NULL;
        memcpy(address, ret_host->text, ret_host->size);
        address[ret_host->size] = '\0';
        return inet_pton(AF_INET6, address, &ignored) == 1 ? host_end + 1 : NULL;
    }
    host_end = memchr(text.text, ':', text.size);
    *ret_host = piece_between(text.text, host_end ? host_end : end);
    size_t legal = strspn(ret_host->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "abcdefghijklmnopqrstuvwxyz"
                                          "0123456789._-");

    return ret_host->size > 0 && ret_host->size <= HOST_SIZE_MAX && legal >= ret_host->size ? text.text + ret_host->size
                                                                                            : NULL;
}

static bool split_authority(struct piece text, struct authority *ret_authority)
{
    struct authority authority = {0};
    const char *end = text.text + text.size;
    const char *at = memrchr(text.text, '@', text.size);
    const char *rest;

    if (at) {
        authority.user = piece_between(text.text, at);
        text = piece_between(at + 1, end);
    }
    rest = split_host(text, &authority.host);
    if (!rest || (rest < end && *rest != ':') || (at && authority.user.size == 0))
        return false;
    if (rest < end)
        authority.port = piece_between(rest + 1, end);
    *ret_authority = authority;
    return true;
}

static int parse_tcp(struct config_reader *reader, struct config_mark mark, const char *text)
{
    struct config *config = reader->config;
    size_t size = strcspn(text, "/?#");
    struct piece path = {text + size, strlen(text + size)};
    struct authority authority;
    int r = 0;

    if (!split_authority((struct piece){text, size}, &authority))
        return -EINVAL;
    config->redis.kind = CONFIG_REDIS_TCP;
    config->redis.port = PORT_DEFAULT;
    if (authority.port.text)
        r = parse_number(reader, mark, "port", authority.port, 1, PORT_MAX, &config->redis.port);
    if (r == 0 && path.size > 0 && path.text[0] != '/')
        return -EINVAL;
    if (r == 0 && path.size > 1)
        r = parse_number(reader, mark, "database", (struct piece){path.text + 1, path.size - 1}, 0, DATABASE_MAX,
                         &config->redis.database);
    if (r == 0 && authority.user.text)
        r = copy_piece(authority.user, &config->redis.username);
    return r < 0 ? r : copy_piece(authority.host, &config->redis.host);
}

/* ---- unix:// ---- */

static int parse_unix(struct config_reader *reader, struct config_mark mark, const char *text)
{
    struct config *config = reader->config;
    struct piece path = {text, strcspn(text, "?")};
    const char *query = text + path.size;
    int r = 0;

    if (path.size < 2 || path.text[0] != '/')
        return config_reader_fail(reader, mark,
                                  "the socket's path in \"redis.url\" must be absolute, as in "
                                  "unix:///run/redis/redis.sock");
    if (path.size > CONFIG_SOCKET_PATH_MAX)
        return config_reader_fail(reader, mark,
                                  "the socket's path in \"redis.url\" must be at most %d bytes long, not %zu",
                                  CONFIG_SOCKET_PATH_MAX, path.size);
    if (*query && strncmp(query, "?db=", 4) != 0)
        return -EINVAL;
    if (*query)
        r = parse_number(reader, mark, "database", (struct piece){query + 4, strlen(query + 4)}, 0, DATABASE_MAX,
                         &config->redis.database);
    config->redis.kind = CONFIG_REDIS_UNIX;
    return r < 0 ? r : copy_piece(path, &config->redis.socket_path);
}

/* ---- All of them ---- */

struct scheme {
    const char *prefix;
    int (*parse)(struct config_reader *reader, struct config_mark mark, const char *text); /* NULL: not supported */
    const char *what;
};

static const struct scheme schemes[] = {
    {"redis://", parse_tcp, NULL},
    {"unix://", parse_unix, NULL},
    {"rediss://", NULL, "Redis over TLS"},
    {"redis+sentinel://", NULL, "Redis Sentinel"},
    {"redis+cluster://", NULL, "Redis Cluster"},
};

static int parse_scheme(struct config_reader *reader, struct config_mark mark, const struct scheme *scheme,
                        const char *text)
{
    const char *at = strrchr(text, '@');

    /* A colon before an `@`, in whatever comes before the path. */
    if (scheme->parse != parse_unix && at && memchr(text, ':', (size_t)(at - text)))
        return config_reader_fail(reader, mark,
                                  "a password does not belong in \"redis.url\"; put it in a file and name that under "
                                  "\"redis.password_file\"");
    if (!scheme->parse)
        return config_reader_fail(reader, mark, "%s (%s) is not supported by this version of weft; use " FORMS,
                                  scheme->what, scheme->prefix);
    return scheme->parse(reader, mark, text);
}

static int parse_url(struct config_reader *reader, const struct config_scalar *scalar)
{
    if (strcmp(scalar->text, "embedded") == 0) {
        reader->config->redis.kind = CONFIG_REDIS_EMBEDDED;
        return 0;
    }
    for (size_t i = 0; i < ELEMENTS(schemes); i++) {
        size_t size = strlen(schemes[i].prefix);

        if (strncasecmp(scalar->text, schemes[i].prefix, size) == 0)
            return parse_scheme(reader, scalar->mark, &schemes[i], scalar->text + size);
    }
    return -EINVAL;
}

static int read_redis_url(struct config_reader *reader, const struct config_key *key,
                          const struct config_scalar *scalar, void *field)
{
    char *url;
    int r = parse_url(reader, scalar);

    (void)key;
    if (r == -EINVAL && !reader->message)
        return config_reader_fail(reader, scalar->mark, "\"redis.url\" must be " FORMS);
    if (r < 0)
        return r;
    url = strdup(scalar->text);
    if (!url)
        return -ENOMEM;
    config_string_replace(field, url);
    reader->config->redis.url_mark = scalar->mark;
    return 0;
}

static void describe_redis_url(const struct config_key *key, struct config_text *text)
{
    (void)key;
    config_text_add(text, FORMS);
}

const struct config_type config_type_redis_url = {.read = read_redis_url, .describe = describe_redis_url};
