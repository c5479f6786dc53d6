/*
 * fork, posix_spawn and wait: a child process knows the context that it was started in by its environment, and whoever
 * was forked by its memory as well.
 *
 * Not followed: vfork(), whose child borrows its parent's memory and stack and so cannot be started from a wrapper;
 * system() and popen(), in which libc starts the shell without any function that could be replaced.
 */
#include <errno.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context/propagate/libc/child.h"
#include "context/propagate/libc/environment.h"
#include "context/propagate/libc/sanitizer.h"
#include "context/propagate/linked.h"

PROPAGATE_LINKED(processes);

SANITIZED(fork);
SANITIZED(posix_spawn);
SANITIZED(posix_spawnp);
SANITIZED(wait);
SANITIZED(wait3);
SANITIZED(wait4);
SANITIZED(waitid);
SANITIZED(waitpid);

/* ---- Beginning ---- */

/* The environment is made before the fork: in the child other threads are gone, and what they held is not. */
PROPAGATE_EXPORT pid_t fork(void)
{
    struct environment environment;

    if (!current_state.context)
        return REAL_OR_SANITIZED(fork)();
    int r = environment_init(&environment, environ);
    if (r < 0) {
        errno = -r;
        return -1;
    }
    pid_t pid = REAL_OR_SANITIZED(fork)();
    if (pid == 0) {
        /* The child has these variables from now on, until it forks one itself. */
        static struct environment own;

        environ = environment.variables;
        environment_done(&own);
        own = environment;
        return pid;
    }
    int error = errno;
    environment_done(&environment);
    if (pid > 0)
        child_begin(pid, OPERATION_PLACE());
    errno = error;
    return pid;
}

typedef int spawn_fn(pid_t *ret_pid, const char *file, const posix_spawn_file_actions_t *actions,
                     const posix_spawnattr_t *attributes, char *const *words, char *const *variables);

/* What posix_spawn() and posix_spawnp() are called with. */
struct spawning {
    spawn_fn *spawn;
    const char *file;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
    char *const *words;
};

static int spawn_in_context(const struct spawning *spawning, pid_t *ret_pid, char *const *variables, const void *place)
{
    struct environment environment;
    pid_t pid;
    int r = environment_init(&environment, variables);

    if (r < 0)
        return -r;
    int error = spawning->spawn(&pid, spawning->file, spawning->actions, spawning->attributes, spawning->words,
                                environment.variables);
    environment_done(&environment);
    if (error)
        return error;
    if (ret_pid)
        *ret_pid = pid;
    child_begin(pid, place);
    return 0;
}

PROPAGATE_EXPORT int posix_spawn(pid_t *restrict ret_pid, const char *restrict file,
                                 const posix_spawn_file_actions_t *restrict actions,
                                 const posix_spawnattr_t *restrict attributes, char *const words[restrict],
                                 char *const variables[restrict])
{
    spawn_fn *spawn = REAL_OR_SANITIZED(posix_spawn);

    if (!current_state.context)
        return spawn(ret_pid, file, actions, attributes, words, variables);
    return spawn_in_context(&(struct spawning){spawn, file, actions, attributes, words}, ret_pid, variables,
                            OPERATION_PLACE());
}

PROPAGATE_EXPORT int posix_spawnp(pid_t *ret_pid, const char *file, const posix_spawn_file_actions_t *actions,
                                  const posix_spawnattr_t *attributes, char *const words[], char *const variables[])
{
    spawn_fn *spawn = REAL_OR_SANITIZED(posix_spawnp);

    if (!current_state.context)
        return spawn(ret_pid, file, actions, attributes, words, variables);
    return spawn_in_context(&(struct spawning){spawn, file, actions, attributes, words}, ret_pid, variables,
                            OPERATION_PLACE());
}

/* ---- Ending ---- */

/* Gives what was given. `status` has been written where there is a process. */
static pid_t note_wait(pid_t pid, const int *status)
{
    if (pid > 0 && (WIFEXITED(*status) || WIFSIGNALED(*status)))
        child_reaped(pid);
    return pid;
}

PROPAGATE_EXPORT pid_t wait(int *ret_status)
{
    int status;
    int *place = ret_status ? ret_status : &status;
    pid_t pid = REAL_OR_SANITIZED(wait)(place);

    return note_wait(pid, place);
}

PROPAGATE_EXPORT pid_t waitpid(pid_t wanted, int *ret_status, int options)
{
    int status;
    int *place = ret_status ? ret_status : &status;
    pid_t pid = REAL_OR_SANITIZED(waitpid)(wanted, place, options);

    return note_wait(pid, place);
}

PROPAGATE_EXPORT pid_t wait3(int *ret_status, int options, struct rusage *ret_usage)
{
    int status;
    int *place = ret_status ? ret_status : &status;
    pid_t pid = REAL_OR_SANITIZED(wait3)(place, options, ret_usage);

    return note_wait(pid, place);
}

PROPAGATE_EXPORT pid_t wait4(pid_t wanted, int *ret_status, int options, struct rusage *ret_usage)
{
    int status;
    int *place = ret_status ? ret_status : &status;
    pid_t pid = REAL_OR_SANITIZED(wait4)(wanted, place, options, ret_usage);

    return note_wait(pid, place);
}

PROPAGATE_EXPORT int waitid(idtype_t type, id_t wanted, siginfo_t *ret_info, int options)
{
    siginfo_t info = {0};
    siginfo_t *place = ret_info ? ret_info : &info;
    int r = REAL_OR_SANITIZED(waitid)(type, wanted, place, options);
    bool has_ended = r == 0 && place->si_pid > 0 &&
                     (place->si_code == CLD_EXITED || place->si_code == CLD_KILLED || place->si_code == CLD_DUMPED);

    if (has_ended && !(options & WNOWAIT))
        child_reaped(place->si_pid);
    return r;
}
