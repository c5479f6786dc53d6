#include "daemon/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <weft/log.h>

#include "context/timer.h"
#include "daemon/worker.h"

/* A worker that lived for less than this is started again more slowly each time. */
#define SHORT_LIFE_US  (10 * INT64_C(1000000))
#define BACKOFF_MIN_US (100 * INT64_C(1000))
#define BACKOFF_MAX_US (5 * INT64_C(1000000))

/* The nonce makes a name that no process has had before, whatever its host and its PID: what a dead one held in Redis
 * is never taken for the new one's. */
static void name_consumer(struct child *child, const struct config *config)
{
    uint64_t nonce;

    if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
        nonce = (uint64_t)timer_now_us() ^ (uint64_t)getpid() << 40;
    (void)snprintf(child->consumer, sizeof(child->consumer), "%s.%zu.%016llx", config->node, child->slot,
                   (unsigned long long)nonce);
}

/* The supervisor's sockets and its loop's descriptors are not for workers. */
static void close_descriptors(const struct log_output *output)
{
    for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
        if (!log_output_has(output, fd))
            (void)close(fd);
}

static int run_child(const struct child *child, const struct child_setting *setting, pid_t parent)
{
    sigset_t none;

    /* A worker without its supervisor would not be started again, and nobody would settle what it leaves. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        return EX_OK;
    (void)signal(SIGCHLD, SIG_DFL);
    /* Ctrl-C reaches the whole group; when workers stop is for the supervisor to say. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* Made anew first: the kernel's side of it is still shared, and events deleted there would be the supervisor's. */
    (void)event_reinit(setting->base);
    event_base_free(setting->base);
    close_descriptors(setting->output);
    return worker_run(&(struct worker_options){
        .config = setting->config,
        .output = setting->output,
        .scoreboard = setting->scoreboard,
        .slot = child->slot,
        .consumer = child->consumer,
    });
}

int child_start(struct child *child, const struct child_setting *setting)
{
    struct scoreboard_slot *slot = &setting->scoreboard->slots[child->slot];
    pid_t parent = getpid();

    name_consumer(child, setting->config);
    atomic_store(&slot->ready, 0);
    atomic_store(&slot->in_flight, 0);
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        exit(run_child(child, setting, parent));
    child->pid = pid;
    child->started_us = timer_now_us();
    child->start_at_us = 0;
    return 0;
}

static void log_end(const struct child *child, int status)
{
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    if (signal_number)
        weft_log_with(WEFT_ERROR, "worker killed by a signal", WEFT_INT("worker", child->slot),
                      WEFT_INT("worker_pid", child->pid), WEFT_TEXT("signal", sigabbrev_np(signal_number)));
    else
        weft_log_with(WEFT_ERROR, "worker ended", WEFT_INT("worker", child->slot), WEFT_INT("worker_pid", child->pid),
                      WEFT_INT("exit_status", WEXITSTATUS(status)));
}

void child_ended(struct child *child, const struct child_setting *setting, int status, bool expected)
{
    int64_t now = timer_now_us();

    log_output_flush_slot(setting->output, child->slot);
    if (!expected)
        log_end(child, status);
    child->pid = 0;
    if (now - child->started_us >= SHORT_LIFE_US)
        child->backoff_us = 0;
    child->start_at_us = now + child->backoff_us;
    child->backoff_us = child->backoff_us ? child->backoff_us * 2 : BACKOFF_MIN_US;
    if (child->backoff_us > BACKOFF_MAX_US)
        child->backoff_us = BACKOFF_MAX_US;
}
