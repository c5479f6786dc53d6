/*
 * Lines for systemd's journal, in its own form: a field of its own for each thing that a line says, so that the journal
 * can find a job's lines by their index.
 */
#pragma once

#include <stdbool.h>

#include "context/log/log.h"

/* Whether weftd was built with libsystemd. */
bool journal_is_supported(void);

/* Whether what is written to this descriptor goes to the journal, as a service's standard error does. */
bool journal_is_behind(int fd);

/* Whether this descriptor may be the one that lines are sent by, which libsystemd keeps to itself: a worker that closes
 * it would later send its lines into whatever has got its number. */
bool journal_may_own(int fd);

/* Hands one line over; it is the journal's when this returns. Waits while the journal is busy. Long values are cut.
 * Gives 0 or a negative errno. Not from two threads at once. */
int journal_send(const struct log_record *record);
