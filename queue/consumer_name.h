/*
 * The names under which processes read the queues. A name says which processes stand behind it, so that those on the
 * same host can see at once whether it is dead; on any other host only its lease tells.
 *
 * NODE.NUMBER.NONCE.HOST.SUPERVISOR.WORKER: NONCE 16 hexadecimal digits; HOST 8, a hash of what two processes have in
 * common that see each other's PIDs; SUPERVISOR and WORKER each PID-STARTTIME in hexadecimal digits. NODE may contain
 * dots, so names are read from the right.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "context/macros.h"

#define CONSUMER_NODE_MAX 128 /* bytes */
#define CONSUMER_NAME_SIZE                                                                                             \
    (CONSUMER_NODE_MAX + sizeof(".18446744073709551615.0123456789abcdef.01234567"                                      \
                                ".7fffffff-0123456789abcdef.7fffffff-0123456789abcdef"))

/* Forms the name of the worker process `worker`, whose supervisor is the process `supervisor`. All who form the name of
 * a process come to the same one, as long as the process has not been waited for. Errors: -ENAMETOOLONG. */
int consumer_format(char *buffer, size_t size, const char *node, size_t number, uint64_t nonce, pid_t supervisor,
                    pid_t worker) MUST_CHECK;

enum consumer_life {
    CONSUMER_ALIVE,     /* of this host: the worker lives, or its supervisor, who will deal with what it leaves */
    CONSUMER_DEAD,      /* of this host, and neither lives */
    CONSUMER_ELSEWHERE, /* of another host, or a name that is not ours */
};

/* What a name says of the worker behind it. */
struct consumer_identity {
    size_t node_size; /* bytes of the name that are its node's */
    size_t number;    /* 0: the supervisor itself, which runs no jobs */
    pid_t worker;
};

/* Reads a name; gives whether it is one of ours. */
bool consumer_read(const char *name, struct consumer_identity *ret_identity) MUST_CHECK;

/* The HOST of this process; 0: it cannot be told. Reads /proc. */
uint32_t consumer_host(void);

/* Looks whether the processes behind a name live, from `host`. Whatever cannot be told counts as alive. Reads /proc. */
enum consumer_life consumer_look(const char *name, uint32_t host);
