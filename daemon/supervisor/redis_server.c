#include "daemon/supervisor/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/log.h>

#include "daemon/process.h"

struct redis_server {
    char *dir;
    char *socket_path;
    int lock_fd;
    pid_t pid;      /* 0: not running */
    bool has_ended; /* once, at least */
};

/* ---- The directory ---- */

/* Makes a directory and those above it. */
static int make_directories(const char *path)
{
    char copy[4096];

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return -ENAMETOOLONG;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int fail(char **ret_message, int error, const struct config *config, const char *what, const char *why)
{
    if (asprintf(ret_message, "%s: the embedded Redis in %s: %s: %s", config->path, config->redis.dir, what, why) < 0)
        *ret_message = NULL;
    return error;
}

/* A Redis whose weftd was killed saves its data and goes away by itself; this waits for it. */
static int lock_directory(struct redis_server *server, const struct config *config, char **ret_message)
{
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/weftd.lock", server->dir);
    server->lock_fd = open(path, O_RDWR | O_CREAT, 0600);
    if (server->lock_fd < 0)
        return fail(ret_message, -errno, config, "cannot write there", strerror(errno));
    for (int tries = 0; flock(server->lock_fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(ret_message, -errno, config, "cannot be locked", strerror(errno));
        if (tries == 100)
            return fail(ret_message, -EBUSY, config, "in use by another weftd",
                        "stop that one, or give this one a \"redis.dir\" of its own");
        (void)usleep(50 * 1000);
    }
    return 0;
}

/* ---- The process ---- */

/* In the child. The descriptor of the lock is handed down, so that the directory stays taken for as long as the server
 * lives. */
__attribute__((noreturn)) static void run_server(const struct redis_server *server, pid_t parent)
{
    const char *arguments[] = {
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        server->socket_path,
        "--unixsocketperm",
        "700",
        "--dir",
        server->dir,
        "--appendonly",
        "yes",
        "--save",
        "",
        "--logfile",
        "redis.log",
        "--daemonize",
        "no",
        "--maxmemory-policy",
        "noeviction",
        NULL,
    };

    /* A group of its own: Ctrl-C on the terminal is for weftd, which still needs Redis to put everything in order. */
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    (void)signal(SIGPIPE, SIG_DFL);
    process_close_descriptors(process_keeps_one, &server->lock_fd);
    process_mask_signals(SIG_SETMASK, (const int[]){0});
    (void)fcntl(server->lock_fd, F_SETFD, 0);
    (void)execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static int start_server(struct redis_server *server)
{
    pid_t parent = getpid();
    pid_t pid = process_fork();

    if (pid < 0)
        return pid;
    if (pid == 0)
        run_server(server, parent);
    weft_debug("the embedded Redis is process %d", (int)pid);
    server->pid = pid;
    return 0;
}

static bool is_installed(const char *program)
{
    const char *path = getenv("PATH");
    char *copy = strdup(path ? path : "/usr/local/bin:/usr/bin:/bin"), *rest = copy;
    bool found = false;

    for (char *folder = strsep(&rest, ":"); folder && !found; folder = strsep(&rest, ":")) {
        char file[4096];

        (void)snprintf(file, sizeof(file), "%s/%s", *folder ? folder : ".", program);
        found = access(file, X_OK) == 0;
    }
    free(copy);
    return found;
}

int redis_server_new(const struct config *config, struct redis_server **ret_server, char **ret_message)
{
    struct redis_server *server = calloc(1, sizeof(*server));

    *ret_message = NULL;
    if (!server)
        return -ENOMEM;
    server->lock_fd = -1;
    server->dir = strdup(config->redis.dir);
    server->socket_path = strdup(config->redis.socket_path);
    int r = server->dir && server->socket_path ? make_directories(server->dir) : -ENOMEM;
    if (r < 0)
        r = fail(ret_message, r, config, "the directory cannot be made", strerror(-r));
    else if (!is_installed("redis-server"))
        r = fail(ret_message, -ENOENT, config, "redis-server is not installed", "on Debian: apt install redis-server");
    else
        r = lock_directory(server, config, ret_message);
    if (r == 0 && (r = start_server(server)) < 0)
        r = fail(ret_message, r, config, "cannot be started", strerror(-r));
    if (r < 0) {
        (void)redis_server_free(server);
        return r;
    }
    *ret_server = server;
    return 0;
}

bool redis_server_child_ended(struct redis_server *server, pid_t pid, int status)
{
    if (!server || pid != server->pid)
        return false;
    server->pid = 0;
    server->has_ended = true;
    weft_log_with(WEFT_ERROR, "the embedded Redis has ended and is started again; its own log is redis.log",
                  WEFT_TEXT("dir", server->dir),
                  WEFT_INT(WIFSIGNALED(status) ? "signal" : "exit_status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
    /* One that cannot start at all must not be started in a tight loop. */
    (void)usleep(200 * 1000);
    int r = start_server(server);
    if (r < 0)
        weft_error("the embedded Redis cannot be started: %s", strerror(-r));
    return true;
}

bool redis_server_endures(const struct redis_server *server)
{
    return server && !server->has_ended;
}

struct redis_server *redis_server_free(struct redis_server *server)
{
    if (!server)
        return NULL;
    if (server->pid > 0) {
        (void)kill(server->pid, SIGTERM);
        (void)waitpid(server->pid, NULL, 0);
    }
    if (server->lock_fd >= 0)
        (void)close(server->lock_fd);
    free(server->dir);
    free(server->socket_path);
    free(server);
    return NULL;
}
