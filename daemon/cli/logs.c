/* weft logs: the lines of one job and its family, or all, in time order. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "context/cleanup.h"
#include "context/log/log.h"
#include "context/name.h"
#include "context/time.h"
#include "daemon/cli/command.h"
#include "daemon/cli/log_files.h"
#include "daemon/cli/log_follow.h"
#include "daemon/cli/log_journal.h"
#include "daemon/cli/log_printer.h"
#include "daemon/cli/log_scan.h"
#include "daemon/cli/problem.h"
#include "queue/message/units.h"

/* Where a line stands: enough to sort by and to find it again. The lines themselves may be more than memory holds. */
struct place {
    int64_t time_us;
    off_t offset;
    size_t size;
    size_t file; /* the newest file has the number 0 */
};

struct places {
    struct place *items;
    size_t count;
    size_t capacity;
    size_t longest;
    size_t file; /* that is being read */
    size_t last; /* as many as are wanted, at the end; 0: all */
};

/* ---- Collecting ---- */

/* Workers write when it suits them, so lines of two of them may have changed places. */
static int compare_places(const void *one, const void *other)
{
    const struct place *first = one, *second = other;

    if (first->time_us != second->time_us)
        return first->time_us < second->time_us ? -1 : 1;
    if (first->file != second->file)
        return first->file > second->file ? -1 : 1;
    return first->offset < second->offset ? -1 : first->offset > second->offset;
}

/* Brings them into the order of time, and keeps those that are wanted. */
static void sort(struct places *places)
{
    if (places->count > 0)
        qsort(places->items, places->count, sizeof(*places->items), compare_places);
    if (places->last > 0 && places->count > places->last) {
        memmove(places->items, places->items + places->count - places->last, places->last * sizeof(*places->items));
        places->count = places->last;
    }
}

static int make_room(struct places *places)
{
    if (places->last > 0 && places->count / 2 >= places->last)
        sort(places);
    if (places->count < places->capacity)
        return 0;
    size_t capacity = places->capacity ? 2 * places->capacity : 256;
    struct place *items = reallocarray(places->items, capacity, sizeof(*items));

    if (!items)
        return -ENOMEM;
    places->items = items;
    places->capacity = capacity;
    return 0;
}

static int collect(const struct log_found *found, void *user)
{
    struct places *places = user;
    int r = places->count == places->capacity ? make_room(places) : 0;

    if (r < 0)
        return r;
    places->items[places->count++] = (struct place){
        .time_us = found->time_us,
        .offset = found->offset,
        .size = found->size,
        .file = places->file,
    };
    places->longest = found->size > places->longest ? found->size : places->longest;
    return 0;
}

/* A file that has been truncated meanwhile has lost the line. */
static int print_places(const struct places *places, const struct log_files *files, struct log_printer *printer)
{
    CLEANUP_FREE char *line = malloc(places->longest + 1);

    if (!line)
        return -ENOMEM;
    for (size_t i = 0; i < places->count && !ferror(stdout); i++) {
        const struct place *place = &places->items[i];

        if (pread(files->fds[place->file], line, place->size, place->offset) == (ssize_t)place->size)
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

/* ---- The command ---- */

struct logs {
    const struct config *config;
    const char *path; /* of the file; NULL: the journal */
    struct log_filter filter;
    bool json;
    bool follow;
    struct log_printer printer;
    struct log_scan scan;
    struct places places;
    struct log_files files;
};

enum { ABOUT_SIZE = NAME_SIZE_MAX + 32 };

/* The end of a sentence that begins with "no line". */
static const char *about(const struct logs *logs, char words[static ABOUT_SIZE])
{
    const struct log_filter *filter = &logs->filter;

    if (!filter->id)
        return filter->type || filter->since_us || filter->level > WEFT_DEBUG ? " that is asked for" : "";
    (void)snprintf(words, ABOUT_SIZE, " about a job \"%s\"", filter->id);
    return words;
}

static int show_journal(struct logs *logs)
{
    size_t count = 0, dropped = 0;
    char words[ABOUT_SIZE];
    int r = log_printer_init(&logs->printer, logs->json);

    if (r == 0)
        r = log_journal_read(&logs->filter, logs->places.last, logs->follow, print_entry, &logs->printer, &count,
                             &dropped);
    log_printer_done(&logs->printer);
    if (r == -ENOMEM)
        return problem_report_memory();
    if (r == -EACCES)
        return problem_report(EX_NOINPUT, "the journal of the system is not this user's to read: it takes root or the "
                                          "group systemd-journal (sudo usermod -aG systemd-journal USER)");
    if (r < 0)
        return problem_report(EX_NOINPUT, "the journal cannot be read: %s", strerror(-r));
    if (dropped > 0)
        (void)problem_report(EX_OK,
                             "the journal has dropped %zu lines of weftd since, which may be some of %s: there were "
                             "more than LogRateLimitBurst= allows",
                             dropped, logs->filter.id ? "this job's" : "these");
    if (count > 0 || logs->follow)
        return EX_OK;
    return problem_report(1,
                          "no line%s in the journal%s; what weftd writes there takes log.output auto and a service, or "
                          "log.output journal",
                          about(logs, words),
                          geteuid() == 0 ? "" : " as far as this user may read it (see the group systemd-journal)");
}

static int report_read_error(const struct logs *logs, int error)
{
    if (error == -ENOMEM)
        return problem_report_memory();
    return problem_report(EX_NOINPUT, "the log %s cannot be read: %s%s", logs->path, strerror(-error),
                          error == -EACCES ? "; the group of weftd's user, weft for a service, may" : "");
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

/* The job's ID as weftd gives it begins with the time of its message: nothing about it is older. */
static int64_t find_since(const struct log_filter *filter)
{
    long long time_ms = 0;
    unsigned long long number;
    int size = 0;
    bool has_time = filter->id && strlen(filter->id) >= 15 &&
                    sscanf(filter->id, "%13lld-%llu%n", &time_ms, &number, &size) == 2 && !filter->id[size];
    /* Clocks differ. */
    int64_t since_us = has_time ? (time_ms - 3600 * 1000LL) * 1000 : 0;

    return since_us > filter->since_us ? since_us : filter->since_us;
}

/* From the newest on, as far as they may hold lines that are wanted. */
static int read_rotated(struct logs *logs)
{
    struct places *places = &logs->places;
    int64_t since_us = find_since(&logs->filter);
    struct log_scan scan;
    int r = log_files_find_rotated(&logs->files, logs->path);

    if (r < 0 && r != -ENOMEM) {
        (void)problem_report(EX_OK, "the rotated files of the log %s cannot be looked for: %s", logs->path,
                             strerror(-r));
        return 0;
    }
    while (r == 0) {
        sort(places);
        if (places->last > 0 && places->count == places->last && places->items[0].time_us > since_us)
            since_us = places->items[0].time_us;
        if (!log_files_open_rotated(&logs->files, since_us))
            break;
        places->file = logs->files.count - 1;
        r = log_scan_init(&scan, logs->files.fds[places->file], &logs->filter);
        if (r == 0)
            r = log_scan_read(&scan, collect, places);
        log_scan_done(&scan);
    }
    return r;
}

/* What is in the files so far, in order of time; then, on demand, what is added to the newest. */
static int show(struct logs *logs)
{
    struct places *places = &logs->places;
    bool is_text = logs->config->log.format == CONFIG_LOG_TEXT;
    char words[ABOUT_SIZE];
    int r = log_scan_read(&logs->scan, collect, places);

    if (r == 0)
        r = read_rotated(logs);
    if (r == 0)
        r = print_places(places, &logs->files, &logs->printer);
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
    return problem_report(1, "no line%s in the log %s", about(logs, words), logs->path);
}

static int show_file(struct logs *logs)
{
    int r = log_printer_init(&logs->printer, logs->json);

    if (r == 0)
        r = log_scan_init(&logs->scan, logs->files.fds[0], &logs->filter);
    int status = r < 0 ? report_read_error(logs, r) : show(logs);

    log_scan_done(&logs->scan);
    log_printer_done(&logs->printer);
    free(logs->places.items);
    log_files_close(&logs->files);
    return status;
}

/* ---- What is asked for ---- */

static int read_level(const char *text, enum weft_level *ret_level)
{
    for (enum weft_level level = WEFT_DEBUG; level <= WEFT_ERROR; level++) {
        if (strcmp(text, log_level_name(level)) == 0) {
            *ret_level = level;
            return 0;
        }
    }
    return -EINVAL;
}

/* A time, or how long ago. */
static int read_since(const char *text, int64_t *ret_us)
{
    int64_t time_ms;

    if (units_parse_duration(text, strlen(text), &time_ms) == 0) {
        *ret_us = time_unix_us() - time_ms * 1000;
        return 0;
    }
    if (units_parse_time(text, strlen(text), &time_ms) < 0)
        return -EINVAL;
    *ret_us = time_ms * 1000;
    return 0;
}

static int read_options(struct logs *logs, const struct options *options)
{
    int64_t last = 0;

    if (options->level && read_level(options->level, &logs->filter.level) < 0)
        return problem_report_usage("logs", "--level takes debug, info, warn or error");
    if (options->type && !name_is_valid(options->type, strlen(options->type)))
        return problem_report_usage("logs", "--type takes a job type, which is " NAME_ALPHABET);
    if (options->since && read_since(options->since, &logs->filter.since_us) < 0)
        return problem_report_usage("logs", "--since takes how long ago, such as 90s, 15m or 2h, or a time: "
                                            "2026-11-23T20:00:00Z or Unix seconds");
    if (options->lines && units_parse_integer(options->lines, strlen(options->lines), 1, INT32_MAX, &last) < 0)
        return problem_report_usage("logs", "-n takes a number of lines");
    logs->places.last = (size_t)last;
    return EX_OK;
}

/* The first file that can be read, or the journal. What is wrong with a file is only told where nothing else is left.
 */
static int open_source(struct logs *logs, bool *ret_journal)
{
    const struct config_strings *outputs = &logs->config->log.outputs;
    const char *unreadable = NULL;
    int error = 0;

    *ret_journal = false;
    for (size_t i = 0; i < outputs->count && logs->files.count == 0; i++) {
        const char *output = outputs->items[i].text;
        struct stat state;

        /* `auto` is the journal for a service. */
        *ret_journal |= strcmp(output, "journal") == 0 || strcmp(output, "auto") == 0;
        /* A file that can be read again, which /dev/stderr and the like are not; one that is missing may have been. */
        if (output[0] != '/' || (stat(output, &state) == 0 && !S_ISREG(state.st_mode)))
            continue;
        int r = log_files_open(&logs->files, output);
        if (r == 0)
            logs->path = output;
        else if (!unreadable) {
            unreadable = output;
            error = r;
        }
    }
    *ret_journal = *ret_journal && logs->files.count == 0 && log_journal_is_supported();
    if (logs->files.count > 0 || !unreadable)
        return EX_OK;
    if (!*ret_journal) {
        logs->path = unreadable;
        return report_read_error(logs, error);
    }
    return problem_report(EX_OK, "the log %s cannot be read: %s; the journal is read instead", unreadable,
                          strerror(-error));
}

int logs_run(const struct invocation *invocation)
{
    const struct options *options = &invocation->options;
    struct logs logs = {
        .config = invocation->config,
        .filter = {.id = options->word_count > 0 ? options->words[0] : NULL, .type = options->type},
        .json = options->json,
        .follow = options->follow,
    };
    bool journal;
    int status = read_options(&logs, options);

    if (status == EX_OK)
        status = open_source(&logs, &journal);
    if (status != EX_OK)
        return status;
    if (logs.path)
        return show_file(&logs);
    if (journal)
        return show_journal(&logs);
    return problem_report(1,
                          "the log goes neither to the journal nor to a file that could be read; name one under log: "
                          "in %s, such as output: [auto, /var/log/weft/weftd.log]",
                          invocation->config->path);
}
