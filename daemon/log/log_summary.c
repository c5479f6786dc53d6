#include "daemon/log/log_summary.h"

#include <string.h>

#include "context/utf8.h"

struct summary {
    char *bytes;
    size_t used;
};

/* Cut where it is too long. */
static void add(struct summary *summary, const char *text, size_t size)
{
    size_t fits = utf8_cut(text, size, LOG_SUMMARY_MAX - summary->used);

    memcpy(summary->bytes + summary->used, text, fits);
    summary->used += fits;
}

static void add_words(struct summary *summary, const char *words)
{
    add(summary, words, strlen(words));
}

static const struct log_value *find_label(const struct log_record *record, const char *key)
{
    for (size_t i = 0; i < record->label_count; i++)
        if (strcmp(record->labels[i].key, key) == 0)
            return &record->labels[i];
    return NULL;
}

static const struct weft_field *find_field(const struct log_record *record, const char *name)
{
    for (size_t i = 0; i < record->field_count; i++)
        if (record->fields[i].name && strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}

static bool is(const struct log_record *record, const char *message)
{
    return record->message_size == strlen(message) && memcmp(record->message, message, record->message_size) == 0;
}

static void add_job(struct summary *summary, const struct log_record *record, const struct log_value *id)
{
    const struct log_value *type = find_label(record, "type"), *attempt = find_label(record, "attempt");

    add_words(summary, ": ");
    if (type) {
        add(summary, type->text, type->size);
        add_words(summary, " ");
    }
    add(summary, id->text, id->size);
    if (!attempt || !is(record, "job dead"))
        return;
    add_words(summary, " after ");
    add(summary, attempt->text, attempt->size);
    add_words(summary, attempt->size == 1 && attempt->text[0] == '1' ? " attempt" : " attempts");
}

size_t log_summarize(const struct log_record *record, char summary[static LOG_SUMMARY_MAX])
{
    const struct log_value *id = find_label(record, "job_id");
    const struct weft_field *error = find_field(record, "error");
    struct summary made = {.bytes = summary};

    if (!error || error->kind != WEFT_FIELD_TEXT || !error->text)
        return 0;
    add(&made, record->message, record->message_size);
    if (id)
        add_job(&made, record, id);
    add_words(&made, ": ");
    add(&made, error->text, strnlen(error->text, LOG_SUMMARY_MAX));
    return made.used;
}
