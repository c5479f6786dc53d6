#include "daemon/cli/log_journal.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context/log/log_json.h"
#include "context/macros.h"
#include "daemon/cli/log_follow.h"

#if WEFT_HAVE_SYSTEMD

#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

/* The journal's own, for lines that it has dropped because a service wrote too many. */
#define DROPPED "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e"

/* A field's name and the longest ID. */
#define MATCH_SIZE 192

#define FIELDS_MAX 256

/* One entry on its way to a line: what it says, copied, since the journal shows one field at a time. */
struct entry {
    struct log_record record;
    struct log_value labels[LOG_LABELS_MAX];
    struct log_value context[LOG_CONTEXT_MAX];
    struct weft_field fields[FIELDS_MAX];
    char *bytes;
    size_t used;
    size_t capacity;
};

/* Labels, in the order of a line. */
static const struct {
    const char *field;
    const char *key;
    bool integer;
} labels[] = {
    {"JOB_ID", "job_id", false},       {"JOB_TYPE", "type", false},     {"JOB_QUEUE", "queue", false},
    {"JOB_ATTEMPT", "attempt", true},  {"JOB_TASK", "task", false},     {"JOB_HANDLER", "handler", false},
    {"JOB_ROOT_ID", "root_id", false}, {"TRACE_ID", "trace_id", false}, {"SPAN_ID", "span_id", false},
};

bool log_journal_is_supported(void)
{
    return true;
}

/* ---- Copying ---- */

/* The journal's data is only good until the next call. Entries of more bytes than a line takes, which weftd does not
 * write but others may, are cut. */
static char *copy(struct entry *entry, const char *bytes, size_t size)
{
    size_t room = entry->capacity - entry->used;
    char *place = entry->bytes + entry->used;

    if (size > room)
        size = room;
    memcpy(place, bytes, size);
    place[size] = '\0';
    entry->used += size < room ? size + 1 : room;
    return place;
}

/* The journal keeps text; what is spelled as a number would be is one again. */
static struct weft_field make_field(const char *name, const char *value)
{
    char again[32], *end;
    long long integer;

    errno = 0;
    integer = strtoll(value, &end, 10);
    (void)snprintf(again, sizeof(again), "%lld", integer);
    if (errno == 0 && *value && !*end && strcmp(again, value) == 0)
        return WEFT_INT(name, integer);
    double real = strtod(value, &end);
    (void)snprintf(again, sizeof(again), "%.17g", real);
    if (*value && !*end && strcmp(again, value) == 0 && strpbrk(value, ".e"))
        return WEFT_REAL(name, real);
    return WEFT_TEXT(name, value);
}

static void take_label(struct entry *entry, size_t at, sd_journal *journal)
{
    const void *data;
    size_t size, skip = strlen(labels[at].field) + 1;

    if (sd_journal_get_data(journal, labels[at].field, &data, &size) < 0 || size < skip)
        return;
    const char *text = copy(entry, (const char *)data + skip, size - skip);
    entry->labels[entry->record.label_count++] = (struct log_value){
        .key = labels[at].key,
        .text = text,
        .size = strlen(text),
        .integer = labels[at].integer && strspn(text, "0123456789") == strlen(text) && *text,
    };
}

static bool has_prefix(const char *data, size_t size, const char *prefix)
{
    return size > strlen(prefix) && memcmp(data, prefix, strlen(prefix)) == 0;
}

/* Metadata and the line's own fields. */
static void take_field(struct entry *entry, const char *data, size_t size)
{
    static const char meta[] = "WEFT_META_", own[] = "WEFT_DATA_";
    struct log_record *record = &entry->record;
    bool is_meta = has_prefix(data, size, meta);
    const char *equals = memchr(data, '=', size);
    size_t skip = sizeof(meta) - 1;

    if (!equals || (!is_meta && !has_prefix(data, size, own)))
        return;
    if (is_meta ? record->context_count == LOG_CONTEXT_MAX : record->field_count == FIELDS_MAX)
        return;
    char *name = copy(entry, data + skip, (size_t)(equals - data) - skip);
    size_t value_size = size - (size_t)(equals + 1 - data);
    const char *value = copy(entry, equals + 1, value_size);

    /* A name as the journal has it was in capitals there; the line's own may have been either. */
    for (char *at = name; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    if (is_meta)
        entry->context[record->context_count++] = (struct log_value){.key = name, .text = value, .size = strlen(value)};
    else
        entry->fields[record->field_count++] = make_field(name, value);
}

/* ---- An entry ---- */

static const char *get_text(struct entry *entry, sd_journal *journal, const char *field)
{
    const void *data;
    size_t size, skip = strlen(field) + 1;

    if (sd_journal_get_data(journal, field, &data, &size) < 0 || size < skip)
        return NULL;
    return copy(entry, (const char *)data + skip, size - skip);
}

static void read_entry(struct entry *entry, sd_journal *journal)
{
    struct log_record *record = &entry->record;
    const char *pid;
    const void *data;
    size_t size;

    entry->used = 0;
    *record = (struct log_record){.labels = entry->labels, .context = entry->context, .fields = entry->fields};
    /* When it was sent, or when it arrived. */
    const char *sent = get_text(entry, journal, "_SOURCE_REALTIME_TIMESTAMP");
    uint64_t arrived = 0;
    if (!sent)
        (void)sd_journal_get_realtime_usec(journal, &arrived);
    record->time_us = sent ? strtoll(sent, NULL, 10) : (int64_t)arrived;
    const char *priority = get_text(entry, journal, "PRIORITY");
    int level = priority ? atoi(priority) : 6;
    record->level = level <= 3 ? WEFT_ERROR : level <= 4 ? WEFT_WARN : level <= 6 ? WEFT_INFO : WEFT_DEBUG;
    record->message = get_text(entry, journal, "WEFT_MESSAGE");
    if (!record->message)
        record->message = get_text(entry, journal, "MESSAGE");
    if (!record->message)
        record->message = "";
    record->message_size = strlen(record->message);
    record->node = get_text(entry, journal, "WEFT_NODE");
    pid = get_text(entry, journal, "_PID");
    record->pid = pid ? atoi(pid) : 0;
    for (size_t i = 0; i < ELEMENTS(labels); i++)
        take_label(entry, i, journal);
    record->has_first_label = record->label_count > 0 && strcmp(record->labels[0].key, "job_id") == 0;
    SD_JOURNAL_FOREACH_DATA (journal, data, size)
        take_field(entry, data, size);
}

/* ---- Reading ---- */

struct reading {
    sd_journal *journal;
    struct entry *entry;
    char *line;
    void (*visit)(const char *line, size_t size, void *user);
    void *user;
    size_t count;
    uint64_t first_us; /* when the first line arrived */
};

static int add_match(sd_journal *journal, const char *field, const char *value)
{
    char match[MATCH_SIZE];

    (void)snprintf(match, sizeof(match), "%s=%s", field, value);
    return sd_journal_add_match(journal, match, 0);
}

static int visit_new(struct reading *reading)
{
    int r;

    while ((r = sd_journal_next(reading->journal)) > 0) {
        if (reading->count++ == 0)
            (void)sd_journal_get_realtime_usec(reading->journal, &reading->first_us);
        read_entry(reading->entry, reading->journal);
        size_t size = log_format_json(&reading->entry->record, reading->line, LOG_LINE_MAX);

        if (size > 0)
            reading->visit(reading->line, size - 1, reading->user);
    }
    return r;
}

/* What the journal itself says that it has not taken of weftd's lines. */
static int count_dropped(const struct reading *reading, size_t *ret_dropped)
{
    sd_journal *journal = reading->journal;
    const void *data;
    size_t size;

    sd_journal_flush_matches(journal);
    int r = sd_journal_add_match(journal, DROPPED, 0);
    if (r == 0)
        r = sd_journal_seek_realtime_usec(journal, reading->first_us);
    while (r >= 0 && (r = sd_journal_next(journal)) > 0) {
        if (sd_journal_get_data(journal, "MESSAGE", &data, &size) < 0 || !memmem(data, size, " weftd", 6))
            continue;
        if (sd_journal_get_data(journal, "N_DROPPED", &data, &size) == 0)
            *ret_dropped += strtoul((const char *)data + sizeof("N_DROPPED"), NULL, 10);
    }
    return r;
}

/* What the journal has an index of; the rest is the entry's to say. */
static int add_matches(sd_journal *journal, const struct log_filter *filter)
{
    /* The journal's numbers, from the level up. */
    static const char *const priorities[] = {
        [WEFT_DEBUG] = "7", [WEFT_INFO] = "6", [WEFT_WARN] = "4", [WEFT_ERROR] = "3"};
    int r = 0;

    /* systemd's own entries have a JOB_ID as well, of something else. */
    if (filter->id) {
        r = add_match(journal, "JOB_ID", filter->id);
        if (r == 0)
            r = sd_journal_add_disjunction(journal);
        if (r == 0)
            r = add_match(journal, "JOB_ROOT_ID", filter->id);
        if (r == 0)
            r = sd_journal_add_conjunction(journal);
    }
    for (enum weft_level level = filter->level; level <= WEFT_ERROR && filter->level > WEFT_DEBUG && r >= 0; level++)
        r = add_match(journal, "PRIORITY", priorities[level]);
    if (filter->type && r >= 0)
        r = add_match(journal, "JOB_TYPE", filter->type);
    return r < 0 ? r : add_match(journal, "SYSLOG_IDENTIFIER", "weftd");
}

/* To before the first entry that is wanted. */
static int seek_first(sd_journal *journal, const struct log_filter *filter, size_t last)
{
    uint64_t first_us = 0, since_us = filter->since_us > 0 ? (uint64_t)filter->since_us : 0;
    int r = 0;

    if (last > 0) {
        r = sd_journal_seek_tail(journal);
        if (r == 0)
            r = sd_journal_previous_skip(journal, last + 1);
        if (r < 0)
            return r;
        /* With fewer than that it stands on the first, and has to go back. */
        if ((size_t)r == last + 1 && sd_journal_get_realtime_usec(journal, &first_us) == 0 && first_us >= since_us)
            return 0;
    }
    return since_us > 0 ? sd_journal_seek_realtime_usec(journal, since_us) : sd_journal_seek_head(journal);
}

/* Whether there is a journal of the system that this user may not read. */
static bool is_forbidden(void)
{
    static const char *const folders[] = {"/var/log/journal", "/run/log/journal"};
    sd_id128_t machine;
    char path[128];

    if (sd_id128_get_machine(&machine) < 0)
        return false;
    for (size_t i = 0; i < ELEMENTS(folders); i++) {
        (void)snprintf(path, sizeof(path), "%s/" SD_ID128_FORMAT_STR "/system.journal", folders[i],
                       SD_ID128_FORMAT_VAL(machine));
        if (access(path, R_OK) < 0 && errno == EACCES)
            return true;
    }
    return false;
}

static int read_all(struct reading *reading, const struct log_filter *filter, size_t last, bool follow,
                    size_t *ret_dropped)
{
    /* Room for names and ends, beside values that fit into a line. */
    reading->entry->capacity = LOG_LINE_MAX;
    reading->entry->bytes = malloc(reading->entry->capacity + 1); /* and an end */
    reading->line = malloc(LOG_LINE_MAX);
    if (!reading->entry->bytes || !reading->line)
        return -ENOMEM;
    /* Whole values: by default those that are large are cut. */
    (void)sd_journal_set_data_threshold(reading->journal, LOG_LINE_MAX);
    int r = add_matches(reading->journal, filter);
    if (r == 0)
        r = seek_first(reading->journal, filter, last);
    if (r == 0)
        r = visit_new(reading);
    /* Whoever may not read it would wait for ever. */
    if (r == 0 && reading->count == 0 && is_forbidden())
        return -EACCES;
    if (r == 0 && follow) {
        while (r >= 0 && log_follow_wait(0)) {
            r = sd_journal_wait(reading->journal, LOG_FOLLOW_PERIOD_MS * UINT64_C(1000));
            if (r >= 0)
                r = visit_new(reading);
        }
        return r;
    }
    return r == 0 && reading->count > 0 ? count_dropped(reading, ret_dropped) : r;
}

int log_journal_read(const struct log_filter *filter, size_t last, bool follow,
                     void (*visit)(const char *line, size_t size, void *user), void *user, size_t *ret_count,
                     size_t *ret_dropped)
{
    struct reading reading = {.visit = visit, .user = user, .entry = calloc(1, sizeof(*reading.entry))};

    *ret_count = *ret_dropped = 0;
    if (!reading.entry)
        return -ENOMEM;
    int r = sd_journal_open(&reading.journal, SD_JOURNAL_LOCAL_ONLY);
    if (r >= 0) {
        r = read_all(&reading, filter, last, follow, ret_dropped);
        sd_journal_close(reading.journal);
    }
    *ret_count = reading.count;
    free(reading.line);
    free(reading.entry->bytes);
    free(reading.entry);
    return r < 0 ? r : 0;
}

#else

bool log_journal_is_supported(void)
{
    return false;
}

int log_journal_read(const struct log_filter *filter, size_t last, bool follow,
                     void (*visit)(const char *line, size_t size, void *user), void *user, size_t *ret_count,
                     size_t *ret_dropped)
{
    (void)filter, (void)last, (void)follow, (void)visit, (void)user;
    *ret_count = *ret_dropped = 0;
    return -EOPNOTSUPP;
}

#endif
