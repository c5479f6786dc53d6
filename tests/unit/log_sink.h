/*
 * A sink for the tests of the logger: keeps lines as JSON, written at a time and in a process that a test can know.
 */
#pragma once

#include "context/log/log_json.h"
#include "tests/unit/log_support.h"

#define TIME "2026-11-23T20:00:00.000000Z"
#define HEAD "{\"ts\":\"" TIME "\",\"level\":\"info\",\"msg\":"

static struct {
    char text[1 << 16];
    size_t size;
    int64_t last_time_us;
    int last_pid;
} kept;

static inline void keep_line(const struct log_record *record, void *user)
{
    struct log_record copy = *record;

    (void)user;
    kept.last_time_us = record->time_us;
    kept.last_pid = record->pid;
    copy.time_us = TIME_OF_RECORDS;
    copy.pid = 42;
    kept.size += log_format_json(&copy, kept.text + kept.size, sizeof(kept.text) - 1 - kept.size);
    kept.text[kept.size] = '\0';
}

static const struct log_label log_sink_labels[] = {
    {.key = "job_id", .name = "weft.job_id"},
    {.key = "attempt", .name = "weft.attempt", .integer = true},
    {.key = "task", .name = "weft.task"},
    {.key = "root_id", .name = "weft.root_id", .unless = "weft.job_id"},
};

static inline void log_sink_configure(struct log_options options)
{
    options.labels = log_sink_labels;
    options.label_count = sizeof(log_sink_labels) / sizeof(log_sink_labels[0]);
    if (!options.sink)
        options.sink = keep_line;
    log_configure(&options);
    kept.size = 0;
    kept.text[0] = '\0';
}

#define CONFIGURE(...) log_sink_configure((struct log_options){__VA_ARGS__})
