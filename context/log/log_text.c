#include "context/log/log_text.h"

#include <math.h>

#include "context/hash.h"
#include "context/log/log_line.h"
#include "context/macros.h"

struct text_line {
    struct log_line line;
    bool colour;
    bool incomplete; /* there was no room for all pairs */
};

/* ---- Colours ---- */

#define TEXT_DIM    "\x1b[2m"
#define TEXT_GREEN  "\x1b[32m"
#define TEXT_YELLOW "\x1b[33m"
#define TEXT_RED    "\x1b[31m"
#define TEXT_PLAIN  "\x1b[0m"

static const struct text_level {
    const char *name;
    const char *colour;
} text_levels[] = {
    [WEFT_DEBUG] = {"DEBUG", TEXT_DIM},
    [WEFT_INFO] = {"INFO ", TEXT_GREEN},
    [WEFT_WARN] = {"WARN ", TEXT_YELLOW},
    [WEFT_ERROR] = {"ERROR", TEXT_RED},
};

/* Colours that can be read on black and on white, and are none of the levels'. */
static const char *const text_palette[] = {
    "\x1b[38;5;32m",  "\x1b[38;5;37m",  "\x1b[38;5;61m",  "\x1b[38;5;65m",  "\x1b[38;5;68m",  "\x1b[38;5;72m",
    "\x1b[38;5;99m",  "\x1b[38;5;103m", "\x1b[38;5;129m", "\x1b[38;5;132m", "\x1b[38;5;137m", "\x1b[38;5;139m",
    "\x1b[38;5;162m", "\x1b[38;5;166m", "\x1b[38;5;170m", "\x1b[38;5;173m",
};

/* The same job has the same colour in every process. */
static const char *text_choose_colour(const char *text, size_t size)
{
    uint32_t hash = hash_add_32(HASH_32, text, size);

    return text_palette[(hash ^ hash >> 16) % ELEMENTS(text_palette)];
}

static void text_begin_colour(struct text_line *text, const char *colour)
{
    if (text->colour)
        log_line_append_words(&text->line, colour);
}

static void text_end_colour(struct text_line *text)
{
    text_begin_colour(text, TEXT_PLAIN);
}

/* ---- Values ---- */

/* Appends a word as it is, or in quotes where it would not be one word then; only within quotes does a backslash
 * begin an escape. */
static void text_append_word(struct log_line *line, const char *text, size_t size)
{
    const unsigned needs_quotes = ESCAPE_HARMFUL | ESCAPE_QUOTES | ESCAPE_SEPARATORS;

    if (size > 0 && escape_count_plain(text, size, needs_quotes) == size && !log_line_cuts(line, size)) {
        log_line_append(line, text, size);
        return;
    }
    log_line_append_words(line, "\"");
    log_line_append_value(line, &escape_quoted, text, size);
    log_line_append_words(line, "\"");
}

static void text_append_key(struct text_line *text, const char *key)
{
    log_line_append_words(&text->line, " ");
    text_begin_colour(text, TEXT_DIM);
    text_append_word(&text->line, key, strnlen(key, LOG_VALUE_MAX + 1));
    log_line_append_words(&text->line, "=");
    text_end_colour(text);
}

static void text_append_field(struct text_line *text, const struct weft_field *field)
{
    struct log_line *line = &text->line;

    text_append_key(text, field->name ? field->name : "");
    if (field->kind == WEFT_FIELD_INTEGER)
        log_line_append_integer(line, field->integer);
    else if (field->kind == WEFT_FIELD_REAL && isnan(field->real))
        log_line_append_words(line, "nan");
    else if (field->kind == WEFT_FIELD_REAL && isinf(field->real))
        log_line_append_words(line, field->real < 0 ? "-inf" : "inf");
    else if (field->kind == WEFT_FIELD_REAL)
        log_line_append_real(line, field->real);
    else if (field->kind == WEFT_FIELD_TEXT && field->text)
        text_append_word(line, field->text, strnlen(field->text, LOG_VALUE_MAX + 1));
    else
        log_line_append_words(line, "null");
}

/* ---- Lines ---- */

/* What the line is about, so that a reader's eye can follow one job down the column. */
static void text_append_subject(struct text_line *text, const struct log_record *record)
{
    if (!record->has_first_label) {
        log_line_append_words(&text->line, "- ");
        return;
    }

    const struct log_value *subject = &record->labels[0];
    text_begin_colour(text, text_choose_colour(subject->text, subject->size));
    text_append_word(&text->line, subject->text, subject->size);
    text_end_colour(text);
    log_line_append_words(&text->line, " ");
}

/* Whether there is room for another pair; where not, the end of the line is going to say so. */
static bool text_has_room(struct text_line *text)
{
    text->incomplete = text->incomplete || log_line_is_crowded(&text->line);
    return !text->incomplete;
}

static void text_append_values(struct text_line *text, const struct log_value *values, size_t first, size_t count)
{
    for (size_t i = first; i < count && text_has_room(text); i++) {
        text_append_key(text, values[i].key);
        text_append_word(&text->line, values[i].text, values[i].size);
    }
}

size_t log_format_text(const struct log_record *record, bool colour, char *buffer, size_t size)
{
    const struct text_level *level = &text_levels[(unsigned)record->level > WEFT_ERROR ? WEFT_ERROR : record->level];
    struct text_line text = {.colour = colour};
    size_t first_pair = record->has_first_label ? 1 : 0;

    log_line_init(&text.line, buffer, size);
    text_begin_colour(&text, TEXT_DIM);
    log_line_append_time(&text.line, record->time_us);
    text_end_colour(&text);
    log_line_append_words(&text.line, " ");
    text_begin_colour(&text, level->colour);
    log_line_append_words(&text.line, level->name);
    text_end_colour(&text);
    log_line_append_words(&text.line, " ");
    text_append_subject(&text, record);
    /* A message reads better with its quotes and backslashes as they are, and nothing follows from them there. */
    log_line_append_value(&text.line, &escape_terminal, record->message, record->message_size);
    text_append_values(&text, record->labels, first_pair, record->label_count);
    text_append_values(&text, record->context, 0, record->context_count);
    for (size_t i = 0; i < record->field_count && text_has_room(&text); i++)
        text_append_field(&text, &record->fields[i]);
    if (text.incomplete)
        log_line_append_words(&text.line, " " LOG_CUT_MARK);
    return log_line_finish(&text.line);
}
