/* weft: reads the command line and the configuration, and runs one command. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/cli/commands.h"
#include "daemon/cli/job_id.h"
#include "daemon/cli/problem.h"
#include "daemon/standard_descriptors.h"
#include "queue/message/rejection.h"

/* A command on its way from the command line. */
struct call {
    const struct command *command;
    char program[64]; /* `weft dead show`: what getopt_long() calls us */
    const char *name; /* within it, what follows `weft ` */
};

static int report_mistake(const struct call *call)
{
    fprintf(stderr, "Try %s --help.\n", call->program);
    return EX_USAGE;
}

static void set_command(struct call *call, const struct command *command)
{
    size_t used = strlen(call->program);

    snprintf(call->program + used, sizeof(call->program) - used, " %s", command->name);
    call->name = call->program + strlen("weft ");
    call->command = command;
}

/* Reads the options of what is left, of which the first word is the command's name. */
static int parse_rest(struct call *call, struct options *options, bool stop)
{
    options->words[0] = call->program;
    return options_parse(options, call->command->rows, stop, (int)options->word_count, options->words);
}

/* Options may stand before a subcommand and after it. */
static int parse_command(struct call *call, struct options *options)
{
    if (call->command->subcommands) {
        if (parse_rest(call, options, true) < 0)
            return report_mistake(call);
        const struct command *sub =
            options->word_count ? command_find(call->command->subcommands, options->words[0]) : NULL;

        if (!sub)
            return EX_OK;
        set_command(call, sub);
    }
    if (!call->command->run) {
        /* What is not there yet has no options to be checked, but answers --help like the rest. */
        for (size_t i = 1; i < options->word_count; i++)
            if (strcmp(options->words[i], "--help") == 0 || strcmp(options->words[i], "-h") == 0)
                options->help = true;
        return EX_OK;
    }
    return parse_rest(call, options, false) < 0 ? report_mistake(call) : EX_OK;
}

/* What could not be written is not done. */
static int check_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    return problem_report(EX_IOERR, "the output cannot be written: %s", strerror(errno));
}

static int run_configured(const struct call *call, struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    const struct command *command = call->command;
    struct session session;
    int status = EX_OK;

    if (command->takes_id && options->word_count > 0)
        status = job_id_check(call->name, options->words[0]);
    if (status != EX_OK || !command->asks_redis)
        return status != EX_OK ? status : command->run(invocation);
    status = session_open(&session, invocation->config, options->queue);
    if (status != EX_OK)
        return status;
    invocation->session = &session;
    status = command->run(invocation);
    session_close(&session);
    return status;
}

static int run(const struct call *call, struct invocation *invocation)
{
    struct config *config;
    char *message = NULL;
    int r = config_load(invocation->options.config, &config, &message);

    if (r < 0) {
        (void)problem_report(EX_CONFIG, "%s", message ? message : strerror(-r));
        free(message);
        return EX_CONFIG;
    }
    invocation->config = config;
    int status = run_configured(call, invocation);
    (void)config_free(config);
    return status;
}

static int call_command(struct call *call, struct invocation *invocation)
{
    struct options *options = &invocation->options;
    int status = parse_command(call, options);

    if (status != EX_OK)
        return status;
    if (options->help) {
        command_print_help(call->command, call->name);
        return EX_OK;
    }
    if (!call->command->run)
        return problem_report(EX_USAGE, "`%s` is not in this version of weft", call->name);
    if (options->word_count < call->command->words_min)
        return problem_report_usage(call->name, "%.*s is missing", (int)strcspn(call->command->synopsis, " "),
                                    call->command->synopsis);
    if (options->word_count > call->command->words_max) {
        const char *surplus = options->words[call->command->words_max];

        return problem_report_usage(call->name, "unexpected argument %s",
                                    rejection_quote(surplus, strlen(surplus)).text);
    }
    return run(call, invocation);
}

int main(int argc, char **argv)
{
    struct invocation invocation = {0};
    struct options *options = &invocation.options;
    struct call call = {.program = "weft"};

    if (argc < 1)
        return EX_USAGE;
    if (standard_descriptors_open() < 0)
        return EX_OSERR;
    argv[0] = call.program;
    if (options_parse(options, options_global, true, argc, argv) < 0)
        return report_mistake(&call);
    if (options->version) {
        puts("weft " WEFT_VERSION);
        return check_output(EX_OK);
    }
    if (options->help) {
        command_print_overview();
        return check_output(EX_OK);
    }
    const struct command *command = options->word_count ? command_find(commands, options->words[0]) : NULL;
    if (!command) {
        const char *word = options->word_count ? options->words[0] : NULL;

        if (word)
            (void)problem_report(EX_USAGE, "there is no command %s", rejection_quote(word, strlen(word)).text);
        fputs("Usage: weft [-c FILE] [--json] COMMAND [ARGUMENT...]\n"
              "Try weft --help, which lists the commands.\n",
              stderr);
        return EX_USAGE;
    }
    set_command(&call, command);
    return check_output(call_command(&call, &invocation));
}
