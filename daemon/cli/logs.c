/* weft logs: the lines of one job and its family, in time order. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "context/cleanup.h"
#include "daemon/cli/command.h"
#include "daemon/cli/log_follow.h"
#include "daemon/cli/log_journal.h"
#include "daemon/cli/log_printer.h"
#include "daemon/cli/log_scan.h"
#include "daemon/cli/problem.h"

/* Where a line stands: enough to sort by and to find it again. The lines themselves may be more than memory holds. */
struct place {
    int64_t time_us;
    off_t offset;
    size_t size;
};

struct places {
    struct place *items;
    size_t count;
    size_t capacity;
    size_t longest;
};

/* ---- Collecting ---- */

static int collect(const struct log_found *found, void *user)
{
    struct places *places = user;

    if (places->count == places->capacity) {
        size_t capacity = places->capacity ? 2 * places->capacity : 256;
        struct place *items = reallocarray(places->items, capacity, sizeof(*items));

        if (!items)
            return -ENOMEM;
        places->items = items;
        places->capacity = capacity;
    }
    places->items[places->count++] = (struct place){
        .time_us = found->time_us,
        .offset = found->offset,
        .size = found->size,
    };
    places->longest = found->size > places->longest ? found->size : places->longest;
    return 0;
}

/* Workers write when it suits them, so lines of two of them may have changed places. */
static int compare_places(const void *one, const void *other)
{
    const struct place *first = one, *second = other;

    if (first->time_us != second->time_us)
        return first->time_us < second->time_us ? -1 : 1;
    return first->offset < second->offset ? -1 : first->offset > second->offset;
}

/* A file that has been truncated meanwhile has lost the line. */
static int print_places(struct places *places, int fd, struct log_printer *printer)
{
    CLEANUP_FREE char *line = malloc(places->longest + 1);

    if (!line)
        return -ENOMEM;
    if (places->count > 0)
        qsort(places->items, places->count, sizeof(*places->items), compare_places);
    for (size_t i = 0; i < places->count && !ferror(stdout); i++) {
        const struct place *place = &places->items[i];

        if (pread(fd, line, place->size, place->offset) == (ssize_t)place->size)
            log_printer_print(printer, line, place->size);
    }
    return 0;
}

static int print_found(const struct log_found *found, void *user)
{
    log_printer_print(user, found->line, found->size);
    (void)fflush(stdout);
    return 0;
}

/* ---- The journal ---- */

static void print_entry(const char *line, size_t size, void *user)
{
    log_printer_print(user, line, size);
}

static int show_journal(const char *id, bool json, bool follow)
{
    struct log_printer printer;
    size_t count = 0, dropped = 0;
    int r = log_printer_init(&printer, json);

    if (r == 0)
        r = log_journal_read(id, follow, print_entry, &printer, &count, &dropped);
    log_printer_done(&printer);
    if (r == -ENOMEM)
        return problem_report_memory();
    if (r < 0)
        return problem_report(EX_NOINPUT, "the journal cannot be read: %s", strerror(-r));
    if (dropped > 0)
        (void)problem_report(EX_OK,
                             "the journal has dropped %zu lines of weftd since, which may be some of this job's: there "
                             "were more than LogRateLimitBurst= allows",
                             dropped);
    if (count > 0 || follow)
        return EX_OK;
    return problem_report(1,
                          "no line about a job \"%s\" in the journal%s; what weftd writes there takes log.output auto "
                          "and a service, or log.output journal",
                          id, geteuid() == 0 ? "" : " as far as this user may read it (see the group systemd-journal)");
}

/* ---- The command ---- */

struct logs {
    const struct config *config;
    const char *path;
    const char *id;
    bool json;
    bool follow;
    struct log_printer printer;
    struct log_scan scan;
    struct places places;
};

static int report_read_error(const struct logs *logs, int error)
{
    if (error == -ENOMEM)
        return problem_report_memory();
    return problem_report(EX_NOINPUT, "the log %s cannot be read: %s", logs->path, strerror(-error));
}

/* Text is for people: it does not tell which words of a line are whose. */
static int report_text(const struct logs *logs)
{
    return problem_report(
        1,
        "the log %s is text, in which weft cannot look for a job; with log.format auto or json in %s, "
        "files hold JSON, which weft shows as text",
        logs->path, logs->config->path);
}

/* What is in the file so far, in order of time; then, on demand, what is added to it. */
static int show(struct logs *logs)
{
    struct places *places = &logs->places;
    bool is_text = logs->config->log.format == CONFIG_LOG_TEXT;
    int r = log_scan_read(&logs->scan, collect, places);

    if (r == 0)
        r = print_places(places, logs->scan.fd, &logs->printer);
    /* Whoever follows a file of text would wait for ever. */
    if (r == 0 && logs->follow && is_text)
        return report_text(logs);
    if (r == 0 && logs->follow)
        r = log_follow(&logs->scan, logs->path, print_found, &logs->printer);
    if (r < 0)
        return report_read_error(logs, r);
    if (logs->follow || places->count > 0)
        return EX_OK;
    if (is_text)
        return report_text(logs);
    return problem_report(1, "no line about a job \"%s\" in the log %s", logs->id, logs->path);
}

static int show_file(struct logs *logs)
{
    CLEANUP_CLOSE int fd = open(logs->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return report_read_error(logs, -errno);
    int r = log_printer_init(&logs->printer, logs->json);

    if (r == 0)
        r = log_scan_init(&logs->scan, fd, logs->id);
    int status = r < 0 ? report_read_error(logs, r) : show(logs);

    log_scan_done(&logs->scan);
    log_printer_done(&logs->printer);
    free(logs->places.items);
    return status;
}

int logs_run(const struct invocation *invocation)
{
    struct logs logs = {
        .config = invocation->config,
        .id = invocation->options.words[0],
        .json = invocation->options.json,
        .follow = invocation->options.follow,
    };
    const struct config_strings *outputs = &invocation->config->log.outputs;
    bool journal = false;

    for (size_t i = 0; i < outputs->count && !logs.path; i++) {
        const char *output = outputs->items[i].text;
        struct stat state;

        /* A file that can be read again, which /dev/stderr and the like are not; one that is missing may have been. */
        if (output[0] == '/' && (stat(output, &state) < 0 || S_ISREG(state.st_mode)))
            logs.path = output;
        /* `auto` is the journal for a service. */
        journal |= strcmp(output, "journal") == 0 || strcmp(output, "auto") == 0;
    }
    if (logs.path)
        return show_file(&logs);
    if (journal && log_journal_is_supported())
        return show_journal(logs.id, logs.json, logs.follow);
    return problem_report(1,
                          "the log goes neither to the journal nor to a file that could be read; name one under log: "
                          "in %s, such as output: [auto, /var/log/weft/weftd.log]",
                          invocation->config->path);
}
