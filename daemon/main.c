/* weftd: reads the command line and the configuration, and becomes a supervisor. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <event2/event.h>
#include <weft/log.h>

#include "daemon/config/config.h"
#include "daemon/job_types.h"
#include "daemon/log_output.h"
#include "daemon/scoreboard.h"
#include "daemon/supervisor.h"

static const char usage[] = "Usage: weftd [-c FILE] [--check] [--version] [--help]\n"
                            "Runs jobs from Redis streams, in the foreground.\n"
                            "\n"
                            "  -c, --config FILE  the configuration; default /etc/weft/weftd.yaml\n"
                            "      --check        check the configuration and the plugins, and end\n"
                            "      --version      print the version, and end\n"
                            "      --help         print this, and end\n"
                            "\n"
                            "SIGTERM and SIGINT finish what runs; a second one interrupts it.\n"
                            "Exit status: 0, 64 usage, 69 Redis unavailable at start, 78 configuration.\n";

struct arguments {
    const char *config;
    bool check;
};

/* Gives -1 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    enum { OPTION_CHECK = 256, OPTION_VERSION, OPTION_HELP };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };

    for (int option = getopt_long(argc, argv, "c:", options, NULL); option != -1;
         option = getopt_long(argc, argv, "c:", options, NULL)) {
        switch (option) {
        case 'c':
            arguments->config = optarg;
            break;
        case OPTION_CHECK:
            arguments->check = true;
            break;
        case OPTION_VERSION:
            puts("weftd " WEFT_VERSION);
            return EX_OK;
        case OPTION_HELP:
            fputs(usage, stdout);
            return EX_OK;
        default:
            fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "weftd: unexpected argument \"%s\"\n%s", argv[optind], usage);
        return EX_USAGE;
    }
    return -1;
}

/* In a child of its own, since loading a plugin runs its code, and the supervisor runs none. */
static int check_plugins_here(const struct config *config)
{
    struct registry registry = {0};
    struct job_types types;
    char *message;
    int r = job_types_load(config, &registry, &types, &message);

    if (r < 0) {
        fprintf(stderr, "weftd: %s\n", message ? message : strerror(-r));
        free(message);
    } else {
        job_types_done(&types);
    }
    registry_done(&registry);
    return r < 0 ? EX_CONFIG : EX_OK;
}

static int check_plugins(const struct config *config)
{
    int status = 0;

    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return EX_OSERR;
    if (pid == 0)
        exit(check_plugins_here(config));
    if (waitpid(pid, &status, 0) < 0)
        return EX_OSERR;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "weftd: %s: loading the plugins ended in signal %s\n", config->path,
                sigabbrev_np(WTERMSIG(status)));
        return EX_CONFIG;
    }
    return WEXITSTATUS(status);
}

/* libevent's own words, at its levels. */
static void log_event_message(int severity, const char *message)
{
    static const enum weft_level levels[] = {WEFT_DEBUG, WEFT_INFO, WEFT_WARN, WEFT_ERROR};

    weft_log(severity >= 0 && severity < 4 ? levels[severity] : WEFT_ERROR, "libevent: %s", message);
}

static int run(const struct config *config)
{
    struct scoreboard scoreboard;
    struct log_output *output;
    char *message;

    if (scoreboard_init(&scoreboard, config->workers + 1) < 0) {
        fprintf(stderr, "weftd: out of memory\n");
        return EX_OSERR;
    }
    int r = log_output_new(config, &scoreboard, &output, &message);
    if (r < 0) {
        fprintf(stderr, "weftd: %s\n", message ? message : strerror(-r));
        free(message);
        scoreboard_done(&scoreboard);
        return r == -EINVAL ? EX_CONFIG : EX_CANTCREAT;
    }
    event_set_log_callback(log_event_message);
    /* A peer that has gone away is an error of the write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    int status = supervisor_run(config, &scoreboard, output);
    (void)log_output_free(output);
    scoreboard_done(&scoreboard);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct config *config;
    char *message;
    int status = parse_arguments(argc, argv, &arguments);

    if (status >= 0)
        return status;
    int r = config_load(arguments.config, &config, &message);
    if (r < 0) {
        fprintf(stderr, "weftd: %s\n", message ? message : strerror(-r));
        free(message);
        return EX_CONFIG;
    }
    status = check_plugins(config);
    if (status == EX_OK && arguments.check)
        printf("%s: ok\n", config->path);
    else if (status == EX_OK)
        status = run(config);
    (void)config_free(config);
    return status;
}
