#include "daemon/log/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "context/name.h"
#include "daemon/log/log_summary.h"

#if WEFT_HAVE_SYSTEMD

/* Where in this file a line is sent from tells nobody anything. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum {
    FIELDS_MAX = 8 + LOG_LABELS_MAX + 2 * LOG_CONTEXT_MAX,
    NAME_MAX_SIZE = 64, /* the journal's */
};

/* A line on its way: "NAME=value" after "NAME=value", and where each is. */
struct parcel {
    size_t used;
    int count;
    struct iovec fields[FIELDS_MAX];
    char bytes[LOG_LINE_MAX];
};

bool journal_is_supported(void)
{
    return true;
}

bool journal_is_behind(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

/* weftd has no other socket for datagrams. */
bool journal_may_own(int fd)
{
    int domain, type;
    socklen_t domain_size = sizeof(domain), type_size = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_DGRAM;
}

/* Values may hold anything: the journal is told their size. */
static void add(struct parcel *parcel, const char *prefix, const char *name, const char *value, size_t size)
{
    char *place = parcel->bytes + parcel->used;
    size_t room = sizeof(parcel->bytes) - parcel->used;

    if (parcel->count == FIELDS_MAX || room < NAME_MAX_SIZE + 2)
        return;
    size_t used = 0;
    /* The name in the form that the journal wants, and not longer than it allows. */
    for (; *prefix && used < NAME_MAX_SIZE; prefix++)
        place[used++] = *prefix;
    for (; *name && used < NAME_MAX_SIZE; name++)
        place[used++] = name_as_variable(*name);
    place[used++] = '=';
    if (size > room - used)
        size = room - used;
    memcpy(place + used, value, size);
    parcel->fields[parcel->count++] = (struct iovec){.iov_base = place, .iov_len = used + size};
    parcel->used += used + size;
}

static void add_text(struct parcel *parcel, const char *name, const char *value)
{
    add(parcel, "", name, value, strlen(value));
}

static void add_field(struct parcel *parcel, const struct weft_field *field)
{
    char number[64];

    switch (field->kind) {
    case WEFT_FIELD_TEXT:
        if (field->text)
            add(parcel, "WEFT_DATA_", field->name, field->text, strlen(field->text));
        return;
    case WEFT_FIELD_INTEGER:
        (void)snprintf(number, sizeof(number), "%lld", (long long)field->integer);
        break;
    case WEFT_FIELD_REAL:
        (void)snprintf(number, sizeof(number), "%.17g", field->real);
        break;
    }
    add(parcel, "WEFT_DATA_", field->name, number, strlen(number));
}

int journal_send(const struct log_record *record)
{
    static struct parcel parcel;
    static char summary[LOG_SUMMARY_MAX];
    static const char *const priorities[] = {
        [WEFT_DEBUG] = "7", [WEFT_INFO] = "6", [WEFT_WARN] = "4", [WEFT_ERROR] = "3"};

    parcel.used = 0;
    parcel.count = 0;
    size_t summary_size = log_summarize(record, summary);
    if (summary_size > 0)
        add(&parcel, "", "MESSAGE", summary, summary_size);
    /* What programs look for, also where people see more. */
    add(&parcel, "", summary_size > 0 ? "WEFT_MESSAGE" : "MESSAGE", record->message, record->message_size);
    add_text(&parcel, "PRIORITY", priorities[record->level]);
    add_text(&parcel, "SYSLOG_IDENTIFIER", "weftd");
    if (record->node)
        add_text(&parcel, "WEFT_NODE", record->node);
    for (size_t i = 0; i < record->label_count; i++) {
        const struct log_value *label = &record->labels[i];
        bool of_trace = strcmp(label->key, "trace_id") == 0 || strcmp(label->key, "span_id") == 0;
        bool is_named = strncmp(label->key, "job_", 4) == 0;

        add(&parcel, of_trace || is_named ? "" : "JOB_", label->key, label->text, label->size);
    }
    for (size_t i = 0; i < record->context_count; i++)
        add(&parcel, "WEFT_META_", record->context[i].key, record->context[i].text, record->context[i].size);
    for (size_t i = 0; i < record->field_count; i++)
        add_field(&parcel, &record->fields[i]);
    return sd_journal_sendv(parcel.fields, parcel.count);
}

#else

bool journal_is_supported(void)
{
    return false;
}

bool journal_is_behind(int fd)
{
    (void)fd;
    return false;
}

bool journal_may_own(int fd)
{
    (void)fd;
    return false;
}

int journal_send(const struct log_record *record)
{
    (void)record;
    return -EOPNOTSUPP;
}

#endif
