#include "daemon/supervisor/worker_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

#include <weft/log.h>

#include "context/task/timer.h"
#include "daemon/process.h"
#include "daemon/supervisor/service.h"
#include "daemon/worker/worker.h"

/* A worker that lived for less than this is started again more slowly each time. */
#define SHORT_LIFE_US  (10 * INT64_C(1000000))
#define BACKOFF_MIN_US (100 * INT64_C(1000))
#define BACKOFF_MAX_US (5 * INT64_C(1000000))

static uint64_t draw_nonce(void)
{
    uint64_t nonce;

    if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
        nonce = (uint64_t)timer_now_us() ^ (uint64_t)getpid() << 40;
    return nonce;
}

static bool is_output(int fd, const void *output)
{
    return log_output_has(output, fd);
}

static void unblock_signals(void)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    /* Those wait until the worker can obey them, instead of ending it half-started. */
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGQUIT);
    (void)sigaddset(&signals, SIGUSR1);
    (void)sigprocmask(SIG_SETMASK, &signals, NULL);
}

static int run_child(struct child *child, struct event_base *base, pid_t supervisor)
{
    const struct generation *generation = child->generation;

    /* A worker without its supervisor would not be started again, and nobody would settle what it leaves. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != supervisor)
        return EX_OK;
    (void)signal(SIGCHLD, SIG_DFL);
    /* Ctrl-C reaches the whole group; when workers stop is for the supervisor to say. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    /* Made anew first: the kernel's side of it is still shared, and events deleted there would be the supervisor's. */
    (void)event_reinit(base);
    event_base_free(base);
    unblock_signals();
    /* The supervisor's sockets and its loop's descriptors are not for workers. */
    process_close_descriptors(is_output, generation->output);
    return worker_run(&(struct worker_options){
        .config = generation->config,
        .output = generation->output,
        .slot = child->slot,
        .cards = &child->cards,
        .tally = &child->tally,
        .consumer = child->consumer,
    });
}

/* Both processes form the name of the consumer, since each half of it is known to one of them first. */
static int name_consumer(struct child *child, uint64_t nonce, pid_t supervisor, pid_t worker)
{
    return consumer_format(child->consumer, sizeof(child->consumer), child->generation->config->node, child->number,
                           nonce, supervisor, worker);
}

/* Jobs that have ended keep their card for as long as something of them goes on, so there are more than fit into the
 * worker at once. */
static int map_slot(struct child *child)
{
    const struct config *config = child->generation->config;
    size_t capacity = 2 * (size_t)config->concurrency + 64;
    /* Aligned, for what comes behind the cards. */
    size_t cards_size = (card_table_size(capacity) + 63) / 64 * 64;
    int r = scoreboard_slot_new(cards_size + tally_size(config), &child->slot);

    if (r < 0)
        return r;
    card_table_init(&child->cards, scoreboard_slot_more(child->slot), capacity);
    tally_init(&child->tally, (char *)scoreboard_slot_more(child->slot) + cards_size, config);
    return 0;
}

int child_start(struct child *child, struct event_base *base)
{
    pid_t supervisor = getpid();
    uint64_t nonce = draw_nonce();
    int r = child->slot ? 0 : map_slot(child);

    if (r < 0)
        return r;
    pid_t pid = process_fork();
    if (pid == 0) {
        service_leave();
        r = name_consumer(child, nonce, supervisor, getpid());
        exit(r < 0 ? EX_OSERR : run_child(child, base, supervisor));
    }
    if (pid < 0)
        return pid;
    child->pid = pid;
    child->started_us = timer_now_us();
    child->state = CHILD_STARTING;
    /* A child that is gone already leaves nothing in Redis, whatever its name would have been. */
    if (name_consumer(child, nonce, supervisor, pid) < 0)
        child->consumer[0] = '\0';
    return 0;
}

bool child_runs(const struct child *child)
{
    return child->state == CHILD_STARTING || child->state == CHILD_READY || child->state == CHILD_RETIRING;
}

void child_retire(struct child *child)
{
    if (child->state != CHILD_STARTING && child->state != CHILD_READY)
        return;
    child->state = CHILD_RETIRING;
    child->retired_us = timer_now_us();
    (void)kill(child->pid, SIGTERM);
}

int64_t child_next_start_us(const struct child *child, int64_t *backoff_us)
{
    int64_t now = timer_now_us();
    int64_t delay = now - child->started_us >= SHORT_LIFE_US ? 0 : child->backoff_us;

    *backoff_us = delay ? delay * 2 : BACKOFF_MIN_US;
    if (*backoff_us > BACKOFF_MAX_US)
        *backoff_us = BACKOFF_MAX_US;
    return now + delay;
}

int child_new(struct generation *generation, size_t number, int64_t start_at_us, struct child **ret_child)
{
    struct child *child = calloc(1, sizeof(*child));

    if (!child)
        return -ENOMEM;
    *child = (struct child){
        .state = CHILD_WAITING,
        .number = number,
        .generation = generation_ref(generation),
        .start_at_us = start_at_us,
    };
    *ret_child = child;
    return 0;
}

struct child *child_free(struct child *child)
{
    if (!child)
        return NULL;
    (void)scoreboard_slot_free(child->slot);
    (void)generation_unref(child->generation);
    free(child);
    return NULL;
}
