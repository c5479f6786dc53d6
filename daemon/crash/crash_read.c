/* What is read was written by a process that may have written anything. */
#include "daemon/crash/crash_read.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "context/macros.h"

/* Room for the words about where it happened: two names and what stands between. */
#define CODE_ADDRESS_SIZE (2 * CRASH_NAME_SIZE + 64)

/* Names are words of plugins, and may be anything. */
static void bound_name(char *name, size_t size)
{
    name[size - 1] = '\0';
    for (char *letter = name; *letter; letter++)
        if ((unsigned char)*letter < ' ' || *letter == 0x7f)
            *letter = '?';
}

int crash_read(const struct crash_record *record, struct crash *ret_crash)
{
    /* One that was only begun has what came first. */
    if (atomic_load(&record->state) == 0)
        return -ENOENT;
    *ret_crash = record->crash;
    bound_name(ret_crash->handler, CRASH_NAME_SIZE);
    bound_name(ret_crash->task, CRASH_NAME_SIZE);
    if (ret_crash->link_count > CRASH_LINKS_MAX)
        ret_crash->link_count = 0;
    for (size_t i = 0; i < ret_crash->link_count; i++) {
        bound_name(ret_crash->links[i].kind, CRASH_LINK_SIZE);
        bound_name(ret_crash->links[i].name, CRASH_LINK_SIZE);
    }
    if (ret_crash->frame_count > CRASH_FRAMES_MAX)
        ret_crash->frame_count = 0;
    module_map_bound(&ret_crash->modules);
    return 0;
}

uintptr_t crash_culprit(const struct crash_record *record)
{
    return atomic_load(&record->state) ? record->crash.culprit : atomic_load(&record->running_job);
}

/* ---- In words ---- */

static void describe_place(const struct crash *crash, char *place)
{
    const char *handler = crash->handler, *task = crash->task;

    if (task[0] && handler[0])
        (void)snprintf(place, CODE_ADDRESS_SIZE, " in subtask %s of handler %s", task, handler);
    else if (task[0])
        (void)snprintf(place, CODE_ADDRESS_SIZE, " in subtask %s", task);
    else if (handler[0])
        (void)snprintf(place, CODE_ADDRESS_SIZE, " in handler %s", handler);
    else
        place[0] = '\0';
}

static void describe_signal_name(int number, char *name, size_t size)
{
    const char *abbreviation = sigabbrev_np(number);

    if (abbreviation)
        (void)snprintf(name, size, "SIG%s", abbreviation);
    else
        (void)snprintf(name, size, "signal %d", number);
}

/* What a signal and its code say that the signal alone does not. */
static const struct {
    int signal;
    int code;
    const char *words;
} meanings[] = {
    {SIGFPE, FPE_INTDIV, " (division by zero)"},   {SIGFPE, FPE_INTOVF, " (integer overflow)"},
    {SIGILL, ILL_ILLOPC, " (not an instruction)"}, {SIGILL, ILL_ILLOPN, " (not an instruction)"},
    {SIGBUS, BUS_ADRALN, " (misaligned address)"}, {SIGSEGV, SEGV_ACCERR, " (no permission)"},
    {SIGSEGV, SI_KERNEL, " (not an address)"},
};

static void describe_crash(const struct crash *crash, char *buffer, size_t size)
{
    char place[CODE_ADDRESS_SIZE], name[32], cause[64] = "";
    const char *meaning = "";

    describe_place(crash, place);
    if (crash->kind == CRASH_EXIT) {
        (void)snprintf(buffer, size, "called exit(%d)%s", crash->exit_status, place);
        return;
    }
    if (crash->overflow > 0) {
        (void)snprintf(buffer, size, "stack overflow%s (a fiber's stack is %u KiB)", place, crash->overflow / 1024);
        return;
    }
    describe_signal_name(crash->signal, name, sizeof(name));
    /* The address of those signals that are about one, or who sent the signal. */
    if (crash->code > 0 && crash->code != SI_KERNEL && (crash->signal == SIGSEGV || crash->signal == SIGBUS))
        (void)snprintf(cause, sizeof(cause), " at address 0x%llx", (unsigned long long)crash->address);
    else if (crash->code <= 0 && crash->sender != 0 && crash->sender != crash->process)
        (void)snprintf(cause, sizeof(cause), " sent by process %lld", (long long)crash->sender);
    for (size_t i = 0; i < ELEMENTS(meanings) && !*meaning; i++)
        if (meanings[i].signal == crash->signal && meanings[i].code == crash->code)
            meaning = meanings[i].words;
    (void)snprintf(buffer, size, "killed by %s%s%s%s", name, meaning, cause, place);
}

void crash_describe(const struct crash_record *record, int status, const char *why, char *buffer, size_t size)
{
    struct crash crash;
    bool noted = crash_read(record, &crash) == 0;

    if (why) {
        char place[CODE_ADDRESS_SIZE] = "";

        if (noted)
            describe_place(&crash, place);
        (void)snprintf(buffer, size, "stopped by the supervisor%s: %s", place, why);
    } else if (noted) {
        describe_crash(&crash, buffer, size);
    } else if (WIFSIGNALED(status)) {
        /* Nothing was noted: there is only the wait status. */
        char name[32];

        describe_signal_name(WTERMSIG(status), name, sizeof(name));
        (void)snprintf(buffer, size, "killed by %s", name);
    } else {
        (void)snprintf(buffer, size, "called _exit(%d)", WEXITSTATUS(status));
    }
}
