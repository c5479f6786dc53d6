#include "daemon/supervisor/worker_process.h"

#include <assert.h>
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

#include "context/time.h"
#include "daemon/process.h"
#include "daemon/supervisor/service.h"

/* A worker that lived for less than this is started again more slowly each time. */
#define SHORT_LIFE_US  (10 * INT64_C(1000000))
#define BACKOFF_MIN_US (100 * INT64_C(1000))
#define BACKOFF_MAX_US (5 * INT64_C(1000000))

static bool is_output(int fd, const void *output)
{
    return log_output_has(output, fd);
}

static int run_worker(struct worker_process *worker, struct event_base *base, pid_t supervisor, worker_run_fn *run)
{
    const struct generation *generation = worker->generation;

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
    /* Those wait until the worker can obey them, instead of ending it half-started. */
    process_mask_signals(SIG_SETMASK, (const int[]){SIGTERM, SIGQUIT, SIGUSR1, 0});
    /* The supervisor's sockets and its loop's descriptors are not for workers. */
    process_close_descriptors(is_output, generation->output);
    return run(&(struct worker_options){
        .config = generation->config,
        .output = generation->output,
        .slot = worker->slot,
        .log_buffers = worker->log_buffers,
        .job_slots = &worker->job_slots,
        .tally = &worker->tally,
        .consumer = worker->consumer,
    });
}

/* Both processes form the name of the consumer, since each half of it is known to one of them first. */
static int name_consumer(struct worker_process *worker, uint64_t nonce, pid_t supervisor, pid_t pid)
{
    return consumer_format(worker->consumer, sizeof(worker->consumer), worker->generation->config->node, worker->number,
                           nonce, supervisor, pid);
}

void worker_process_set_state(struct worker_process *worker, enum worker_state state)
{
    static const char *const names[] = {
        [WORKER_WAITING] = "waits to be started", [WORKER_STARTING] = "starts", [WORKER_READY] = "is ready",
        [WORKER_RETIRING] = "is to end",          [WORKER_ENDED] = "has ended",
    };

    assert(worker->state != WORKER_ENDED);
    worker->state = state;
    weft_debug("worker %zu (process %d) %s", worker->number, (int)worker->pid, names[state]);
}

int worker_process_start(struct worker_process *worker, struct event_base *base, worker_run_fn *run)
{
    const struct config *config = worker->generation->config;
    pid_t supervisor = getpid();
    uint64_t nonce;
    int r = 0;

    assert(worker->state == WORKER_WAITING);
    if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
        nonce = (uint64_t)time_steady_us() ^ (uint64_t)supervisor << 40;
    if (!worker->slot) {
        /* Jobs that have ended keep their job slot for as long as something of them goes on, so there are more than fit
         * into the worker at once. */
        size_t capacity = 2 * (size_t)config->concurrency + 64;
        /* Aligned, for what comes behind the job slots. */
        size_t job_slots_size = (job_slot_table_size(capacity) + 63) / 64 * 64;

        r = scoreboard_slot_new(job_slots_size + tally_size(config), &worker->slot);
        if (r < 0)
            return r;
        job_slot_table_init(&worker->job_slots, scoreboard_slot_more(worker->slot), capacity);
        tally_init(&worker->tally, (char *)scoreboard_slot_more(worker->slot) + job_slots_size, config);
    }
    if (!worker->log_buffers && (r = log_output_new_buffers(worker->generation->output, &worker->log_buffers)) < 0)
        return r;
    pid_t pid = process_fork();
    if (pid == 0) {
        service_leave();
        r = name_consumer(worker, nonce, supervisor, getpid());
        exit(r < 0 ? EX_OSERR : run_worker(worker, base, supervisor, run));
    }
    if (pid < 0)
        return pid;
    worker->pid = pid;
    worker->started_us = time_steady_us();
    worker_process_set_state(worker, WORKER_STARTING);
    /* A child that is gone already leaves nothing in Redis, whatever its name would have been. */
    if (name_consumer(worker, nonce, supervisor, pid) < 0)
        worker->consumer[0] = '\0';
    return 0;
}

bool worker_process_runs(const struct worker_process *worker)
{
    return worker->state == WORKER_STARTING || worker->state == WORKER_READY || worker->state == WORKER_RETIRING;
}

void worker_process_retire(struct worker_process *worker)
{
    if (worker->state != WORKER_STARTING && worker->state != WORKER_READY)
        return;
    worker_process_set_state(worker, WORKER_RETIRING);
    worker->retired_us = time_steady_us();
    (void)kill(worker->pid, SIGTERM);
}

int64_t worker_process_next_start_us(const struct worker_process *worker, int64_t *backoff_us)
{
    int64_t now = time_steady_us();
    int64_t delay = now - worker->started_us >= SHORT_LIFE_US ? 0 : worker->backoff_us;

    *backoff_us = delay ? delay * 2 : BACKOFF_MIN_US;
    if (*backoff_us > BACKOFF_MAX_US)
        *backoff_us = BACKOFF_MAX_US;
    return now + delay;
}

int worker_process_new(struct generation *generation, size_t number, int64_t start_at_us,
                       struct worker_process **ret_worker)
{
    struct worker_process *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return -ENOMEM;
    *worker = (struct worker_process){
        .state = WORKER_WAITING,
        .number = number,
        .generation = generation_ref(generation),
        .start_at_us = start_at_us,
    };
    *ret_worker = worker;
    return 0;
}

struct worker_process *worker_process_free(struct worker_process *worker)
{
    if (!worker)
        return NULL;
    (void)scoreboard_slot_free(worker->slot);
    (void)log_buffers_free(worker->log_buffers);
    (void)generation_unref(worker->generation);
    free(worker);
    return NULL;
}
