/*
 * For tests about dead and living consumers: names of consumers whose processes are in the state that a test wants, and
 * jobs that they hold.
 */
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/consumer_name.h"
#include "tests/unit/queue_support.h"

/* A process that does nothing. */
static inline pid_t consumers_start_process(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        (void)pause();
}

static inline void consumers_end_process(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The names are valid until some more have been formed. */
static inline const char *consumers_name(uint64_t nonce, pid_t supervisor, pid_t worker)
{
    static char names[8][CONSUMER_NAME_SIZE];
    static unsigned turn;
    char *name = names[turn++ % 8];

    assert_int_equal(consumer_format(name, CONSUMER_NAME_SIZE, "node1", 1, nonce, supervisor, worker), 0);
    return name;
}

static inline const char *consumers_name_dead(uint64_t nonce)
{
    pid_t pid = consumers_start_process();
    const char *name = consumers_name(nonce, pid, pid);

    consumers_end_process(pid);
    return name;
}

static inline const char *consumers_name_elsewhere(void)
{
    static char name[CONSUMER_NAME_SIZE];

    (void)snprintf(name, sizeof(name), "node2.1.0123456789abcdef.%08x.1-1.1-1", (unsigned)consumer_host() ^ 1);
    return name;
}

/* Enqueues jobs with the IDs `ids` (NULL at the end) in the queue "q" and gives them to the consumer. */
static inline void consumers_give(struct queues *queues, const char *consumer, const char *const ids[])
{
    redis_server_ask(&queues->server, "XGROUP CREATE weft:{q} weft 0 MKSTREAM");
    for (size_t i = 0; ids[i]; i++)
        redis_server_ask(&queues->server, "XADD weft:{q} 5-%d type t id %s", (int)i + 1, ids[i]);
    redis_server_ask(&queues->server, "XREADGROUP GROUP weft %s STREAMS weft:{q} >", consumer);
}

static inline bool consumers_has(struct queues *queues, const char *consumer)
{
    return strstr(redis_server_ask(&queues->server, "XINFO CONSUMERS weft:{q} weft"), consumer) != NULL;
}

/* How many jobs of the queue "q" the consumer holds. */
static inline long long consumers_held(struct queues *queues, const char *consumer)
{
    char command[CONSUMER_NAME_SIZE + 64];
    const char *answer;
    long long count = 0;

    (void)snprintf(command, sizeof(command), "XPENDING weft:{q} weft - + 1000 %s", consumer);
    answer = redis_server_ask(&queues->server, command);
    for (const char *found = strstr(answer, consumer); found; found = strstr(found + 1, consumer))
        count++;
    return count;
}
