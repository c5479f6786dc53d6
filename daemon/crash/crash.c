#include "daemon/crash/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "context/async/operation.h"
#include "context/async/running_job.h"
#include "context/current.h"
#include "context/frame.h"
#include "context/job_frame.h"
#include "context/machinery.h"
#include "context/macros.h"
#include "context/task/signal_stack.h"
#include "context/task/task.h"

static const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};

#define CAUGHT_COUNT ELEMENTS(caught)

/* How far the record is. One thread writes it; the first that dies. */
enum crash_state { CRASH_NOTHING, CRASH_BEGUN, CRASH_WRITTEN };

/* A thread that dies while another writes the record waits for it, since its own end would be everybody's. */
enum { WAIT_STEPS = 200, WAIT_STEP_NS = 5 * 1000 * 1000 };

/* Frames above the place where it happened: this file's own and the signal's. */
enum { OWN_FRAMES_MAX = 16 };

/* Signal handlers get no argument of ours, so what they need is global. */
static struct {
    struct crash_record *record;
    pid_t process;
    bool clean_end;
    struct sigaction before[CAUGHT_COUNT];
    struct signal_stack stack;
} installed;

/* What a handler that looks at a broken process may fall over itself ends that step, not the handler. */
static _Thread_local struct {
    volatile sig_atomic_t active;
    sigjmp_buf jump;
} guard;

/* What the steps of writing look at; both NULL for exit(). */
struct scene {
    struct crash *crash;
    const siginfo_t *info;
    const ucontext_t *context;
};

/* ---- The steps ---- */

static void note_culprit(const struct scene *scene)
{
    const void *owner = frame_owner(current_state.context);

    /* Code that left its context, and what is released with it, is still its task's. */
    scene->crash->culprit = owner ? (uintptr_t)owner : running_job_get();
}

static void note_value(const char *name, char *place)
{
    struct frame_key key = frame_key(name);
    struct frame_found found;

    if (frame_find(current_state.context, &key, &found) && found.text)
        (void)stpncpy(place, found.text, CRASH_NAME_SIZE - 1);
}

static void note_handler(const struct scene *scene)
{
    note_value(JOB_VALUE_HANDLER, scene->crash->handler);
}

static void note_task(const struct scene *scene)
{
    note_value(JOB_VALUE_TASK, scene->crash->task);
}

static void note_overflow(const struct scene *scene)
{
    const struct weft_task *task = weft_task_current();

    if (scene->info && scene->info->si_code > 0 && task && task->coroutine &&
        coroutine_guards(task->coroutine, scene->info->si_addr))
        scene->crash->overflow = LOOP_STACK_SIZE;
}

static void note_links(const struct scene *scene)
{
    struct crash *crash = scene->crash;
    struct operation_link links[CRASH_LINKS_MAX];
    size_t count = operation_links(links, CRASH_LINKS_MAX);

    for (size_t i = 0; i < count; i++) {
        struct crash_link *link = &crash->links[i];

        link->place = (uintptr_t)links[i].place;
        (void)stpncpy(link->kind, links[i].kind, CRASH_LINK_SIZE - 1);
        if (links[i].name)
            (void)stpncpy(link->name, links[i].name, CRASH_LINK_SIZE - 1);
        crash->link_count = (uint32_t)i + 1;
    }
}

/* ---- The backtrace ---- */

/* The registers that matter where the signal struck. */
struct registers {
    bool known;
    uintptr_t program;
    uintptr_t stack;
    uintptr_t frame;
    uintptr_t link; /* where a function that has not touched the stack returns to; 0: it is on the stack */
};

static struct registers read_registers(const ucontext_t *context)
{
#if defined(__x86_64__)
    const greg_t *registers = context->uc_mcontext.gregs;

    return (struct registers){true, (uintptr_t)registers[REG_RIP], (uintptr_t)registers[REG_RSP],
                              (uintptr_t)registers[REG_RBP], 0};
#elif defined(__aarch64__)
    const mcontext_t *machine = &context->uc_mcontext;

    return (struct registers){true, machine->pc, machine->sp, machine->regs[29], machine->regs[30]};
#else
    (void)context;
    return (struct registers){0};
#endif
}

static void add_frame(struct crash *crash, uintptr_t address)
{
    if (crash->frame_count < CRASH_FRAMES_MAX)
        crash->frames[crash->frame_count++] = address;
}

/* Follows the chain of frame pointers, for where unwinding cannot begin: after a call of what is not code, such as a
 * NULL function. May fall over what is no chain. */
__attribute__((no_sanitize("address"), no_sanitize("undefined"))) static void follow_frames(
    struct crash *crash, const struct registers *registers)
{
    add_frame(crash, registers->link ? registers->link : *(const uintptr_t *)registers->stack);
    for (uintptr_t frame = registers->frame; frame % sizeof(frame) == 0 && crash->frame_count < CRASH_FRAMES_MAX;) {
        uintptr_t next = ((const uintptr_t *)frame)[0];

        add_frame(crash, ((const uintptr_t *)frame)[1]);
        if (next <= frame || next - frame > LOOP_STACK_SIZE)
            return;
        frame = next;
    }
}

/* The number of frames that belong to the handler, which are those before the place where the signal struck. */
static size_t count_own_frames(void *const *frames, size_t count, uintptr_t program)
{
    for (size_t i = 0; i < count; i++)
        if ((uintptr_t)frames[i] == program)
            return i;
    return count;
}

MACHINERY static void note_backtrace(const struct scene *scene)
{
    struct crash *crash = scene->crash;
    struct registers registers = scene->context ? read_registers(scene->context) : (struct registers){0};
    void *frames[CRASH_FRAMES_MAX + OWN_FRAMES_MAX];
    int found = backtrace(frames, CRASH_FRAMES_MAX + OWN_FRAMES_MAX);
    size_t count = found > 0 ? (size_t)found : 0;
    size_t own = registers.known ? count_own_frames(frames, count, registers.program) : 0;

    crash->exact_first = registers.known;
    if (own < count) {
        for (size_t i = own; i < count; i++)
            add_frame(crash, (uintptr_t)frames[i]);
    } else {
        add_frame(crash, registers.program);
    }
    if (registers.known && own + 1 >= count)
        follow_frames(crash, &registers);
}

/* ---- Writing ---- */

/* The most important first: a later one may not come to its end. */
static void (*const steps[])(const struct scene *scene) = {
    note_culprit, note_overflow, note_handler, note_task, note_links, note_backtrace,
};

MACHINERY static void run_steps(const struct scene *scene)
{
    for (size_t volatile i = 0; i < ELEMENTS(steps); i++) {
        if (sigsetjmp(guard.jump, 1) == 0) {
            guard.active = 1;
            steps[i](scene);
        }
        guard.active = 0;
    }
}

/* Gives whether the record is the caller's to write. */
static bool begin_record(struct crash_record *record)
{
    int nothing = CRASH_NOTHING;

    if (atomic_compare_exchange_strong(&record->state, &nothing, CRASH_BEGUN))
        return true;
    for (int step = 0; step < WAIT_STEPS && atomic_load(&record->state) == CRASH_BEGUN; step++)
        (void)nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_NS}, NULL);
    return false;
}

static pid_t current_thread(void)
{
    return (pid_t)syscall(SYS_gettid);
}

MACHINERY static void note_signal(const siginfo_t *info, const ucontext_t *context)
{
    struct crash *crash = &installed.record->crash;
    bool sent = info->si_code <= 0;
    sigset_t faults, blocked;

    if (!begin_record(installed.record))
        return;
    crash->kind = CRASH_SIGNAL;
    crash->signal = info->si_signo;
    crash->code = info->si_code;
    crash->sender = sent ? info->si_pid : 0;
    crash->address = sent ? 0 : (uintptr_t)info->si_addr;
    crash->process = installed.process;
    crash->thread = current_thread();

    (void)sigemptyset(&faults);
    for (size_t i = 0; i < CAUGHT_COUNT; i++)
        (void)sigaddset(&faults, caught[i]);
    (void)pthread_sigmask(SIG_UNBLOCK, &faults, &blocked);
    run_steps(&(struct scene){.crash = crash, .info = info, .context = context});
    (void)pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    atomic_store(&installed.record->state, CRASH_WRITTEN);
}

/* Puts back what was there before, and has it find the same signal when this handler has returned: also where the
 * instruction would not bring it on again. */
static void hand_on(int number, siginfo_t *info)
{
    for (size_t i = 0; i < CAUGHT_COUNT; i++)
        if (caught[i] == number)
            (void)sigaction(number, &installed.before[i], NULL);
    (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), current_thread(), number, info);
}

MACHINERY static void on_signal(int number, siginfo_t *info, void *context)
{
    int error = errno;

    if (guard.active) {
        guard.active = 0;
        siglongjmp(guard.jump, 1);
    }
    /* What a handler has forked is not the worker. */
    if (getpid() == installed.process)
        note_signal(info, context);
    hand_on(number, info);
    errno = error;
}

MACHINERY static void on_exit_call(int status, void *arg)
{
    struct crash *crash = &installed.record->crash;

    (void)arg;
    if (installed.clean_end || getpid() != installed.process || !begin_record(installed.record))
        return;
    crash->kind = CRASH_EXIT;
    crash->exit_status = status;
    crash->process = installed.process;
    crash->thread = current_thread();
    run_steps(&(struct scene){.crash = crash});
    atomic_store(&installed.record->state, CRASH_WRITTEN);
}

/* ---- Installing ---- */

int crash_install(struct crash_record *record)
{
    void *frame;
    int r = signal_stack_init(&installed.stack);

    if (r < 0)
        return r;
    if (on_exit(on_exit_call, NULL) != 0) {
        signal_stack_done(&installed.stack);
        return -ENOMEM;
    }
    installed.record = record;
    installed.process = getpid();
    installed.clean_end = false;
    running_job_install(&record->running_job);
    running_job_count(&record->turns);
    /* The first call loads a library, which is no work for a signal handler. */
    (void)backtrace(&frame, 1);
    crash_note_modules(record);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)sigfillset(&action.sa_mask);
    for (size_t i = 0; i < CAUGHT_COUNT; i++) {
        struct sigaction *before = &installed.before[i];

        (void)sigaction(caught[i], &action, before);
        /* Ignored, the signal would come again and again. */
        if (!(before->sa_flags & SA_SIGINFO) && before->sa_handler == SIG_IGN)
            before->sa_handler = SIG_DFL;
    }
    return 0;
}

void crash_note_modules(struct crash_record *record)
{
    module_map_note(&record->crash.modules);
}

void crash_note_clean_end(void)
{
    installed.clean_end = true;
}
