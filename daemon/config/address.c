#include "daemon/config/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_SIZE 64
#define LOOPBACK  "127.0.0.1"

static bool is_port(const char *text)
{
    return *text && strlen(text) <= 5 && strspn(text, "0123456789") == strlen(text) && atoi(text) > 0 &&
           atoi(text) <= 65535;
}

/* Gives the port, or NULL. */
static const char *split(const char *text, char host[static HOST_SIZE])
{
    const char *colon = strrchr(text, ':');
    bool bracketed = *text == '[';

    if (!colon) {
        (void)snprintf(host, HOST_SIZE, LOOPBACK);
        return text;
    }
    const char *begin = text + bracketed, *end = colon - bracketed;
    if (end <= begin || end - begin >= HOST_SIZE || (bracketed && *end != ']'))
        return NULL;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    return bracketed == (strchr(host, ':') != NULL) ? colon + 1 : NULL;
}

int config_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char host[HOST_SIZE];
    const char *port = split(text, host);

    /* The one word that stands for an address of digits. */
    if (!port || !is_port(port) || strcmp(host, "*") == 0 || getaddrinfo(host, port, &hints, &found) != 0)
        return -EINVAL;
    memcpy(ret_address, found->ai_addr, found->ai_addrlen);
    *ret_size = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}
