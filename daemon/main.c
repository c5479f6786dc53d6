/* weftd: reads the command line and the configuration, and becomes a supervisor. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <event2/event.h>
#include <weft/log.h>

#include "context/propagate/propagate.h"
#include "context/propagate/self_test.h"
#include "daemon/config/config.h"
#include "daemon/log/log_output.h"
#include "daemon/process.h"
#include "daemon/scoreboard/scoreboard.h"
#include "daemon/standard_descriptors.h"
#include "daemon/supervisor/plugin_check.h"
#include "daemon/supervisor/reload_outcome.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/worker/worker.h"
#include "handlers/variables.h"

static const char usage[] =
    "Usage: weftd [-c FILE] [--check] [--reload] [--version] [--help]\n"
    "Runs jobs from Redis streams, in the foreground.\n"
    "\n"
    "  -c, --config FILE  the configuration; default /etc/weft/weftd.yaml\n"
    "      --check        check the configuration and the plugins, and end\n"
    "      --reload       for the unit's ExecReload=: have the service reload, and wait for the outcome\n"
    "      --version      print the version, and end\n"
    "      --help         print this, and end\n"
    "\n"
    "SIGTERM and SIGINT finish what runs; a second one interrupts it.\n"
    "Exit status: 0 stopped or done, 64 usage, 69 Redis unavailable at the start, 71 no memory or\n"
    "processes, 73 a log file or the HTTP address cannot be opened, 78 configuration.\n";

struct arguments {
    const char *config;
    bool check;
    bool reload;
};

/* Gives -1 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    enum { OPTION_CHECK = 256, OPTION_RELOAD, OPTION_VERSION, OPTION_HELP };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},     {"check", no_argument, NULL, OPTION_CHECK},
        {"reload", no_argument, NULL, OPTION_RELOAD}, {"version", no_argument, NULL, OPTION_VERSION},
        {"help", no_argument, NULL, OPTION_HELP},     {NULL, 0, NULL, 0},
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
        case OPTION_RELOAD:
            arguments->reload = true;
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

/* libevent's own words, at its levels. */
static void log_event_message(int severity, const char *message)
{
    static const enum weft_level levels[] = {WEFT_DEBUG, WEFT_INFO, WEFT_WARN, WEFT_ERROR};

    weft_log(severity >= 0 && severity < 4 ? levels[severity] : WEFT_ERROR, "libevent: %s", message);
}

/* Takes the configuration over. */
static int run(struct config *config)
{
    struct scoreboard_slot *slot;
    struct log_output *output;
    char *message;
    int r = scoreboard_slot_new(0, &slot);

    if (r < 0) {
        fprintf(stderr, "weftd: out of memory\n");
        (void)config_free(config);
        return EX_OSERR;
    }
    r = log_output_new(config, slot, &output, &message);
    if (r < 0) {
        fprintf(stderr, "weftd: %s\n", message ? message : strerror(-r));
        free(message);
        (void)config_free(config);
        (void)scoreboard_slot_free(slot);
        return r == -EINVAL ? EX_CONFIG : EX_CANTCREAT;
    }
    log_output_install(output);
    event_set_log_callback(log_event_message);
    /* A peer that has gone away is an error of the write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    int status = supervisor_run(config, slot, output, worker_run);
    (void)scoreboard_slot_free(slot);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct config *config;
    char *message;

    if (standard_descriptors_open() < 0)
        return EX_OSERR;
    int status = parse_arguments(argc, argv, &arguments);
    if (status >= 0)
        return status;
    if (arguments.reload)
        return reload_outcome_ask();
    /* What weftd itself schedules belongs to no job, whoever made it do so. */
    propagate_exempt((const void *)(uintptr_t)main);
    int r = self_test_run(&message);
    if (r < 0) {
        fprintf(stderr, "weftd: %s\n", message ? message : strerror(-r));
        free(message);
        return r == -ENOMEM ? EX_OSERR : EX_CONFIG;
    }
    variables_install();
    /* Until the supervisor can obey them: a stop that comes early is one all the same, and nothing else ends weftd. */
    if (!arguments.check)
        process_mask_signals(SIG_BLOCK, (const int[]){SIGTERM, SIGHUP, SIGUSR1, 0});
    r = config_load(arguments.config, &config, &message);
    if (r == 0 && (r = plugin_check_run(config, &message)) < 0)
        (void)config_free(config);
    if (r < 0) {
        fprintf(stderr, "weftd: %s\n", message ? message : strerror(-r));
        free(message);
        return EX_CONFIG;
    }
    if (!arguments.check)
        return run(config);
    printf("%s: ok\n", config->path);
    (void)config_free(config);
    return EX_OK;
}
