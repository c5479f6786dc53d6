/*
 * Catches what is logged, so that tests read the sentences that users get.
 */
#pragma once

#include <stdio.h>

#include "context/log/log.h"

enum { LOG_CAPTURE_LINES = 16 };

struct log_capture {
    int count;
    enum weft_level levels[LOG_CAPTURE_LINES];
    char messages[LOG_CAPTURE_LINES][256];
    char subjects[LOG_CAPTURE_LINES][64]; /* the value of the label, "-" where there is none */
};

static inline void log_capture_take(const struct log_record *record, void *user)
{
    struct log_capture *capture = user;
    int line = capture->count++;

    if (line >= LOG_CAPTURE_LINES)
        return;
    capture->levels[line] = record->level;
    (void)snprintf(capture->messages[line], sizeof(capture->messages[line]), "%.*s", (int)record->message_size,
                   record->message);
    (void)snprintf(capture->subjects[line], sizeof(capture->subjects[line]), "%s",
                   record->label_count > 0 ? record->labels[0].text : "-");
}

/* Lines go to `capture` until log_capture_end(), each with the context's value called `label`. */
static inline void log_capture_begin(struct log_capture *capture, const char *label)
{
    static struct log_label labels[1];

    labels[0] = (struct log_label){.key = label, .name = label};
    *capture = (struct log_capture){0};
    log_configure(&(struct log_options){
        .level = WEFT_DEBUG, .labels = labels, .label_count = 1, .sink = log_capture_take, .user = capture});
}

static inline void log_capture_end(void)
{
    log_configure(&(struct log_options){.level = WEFT_INFO});
}
