/*
 * The addresses that weftd listens on.
 */
#pragma once

#include <sys/socket.h>

#include "context/macros.h"

/* Reads `PORT`, which is one of 127.0.0.1, `ADDRESS:PORT` or `[ADDRESS]:PORT`, with the address in digits; nobody is
 * asked for names. Errors: -EINVAL. */
int config_address_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_size) MUST_CHECK;
