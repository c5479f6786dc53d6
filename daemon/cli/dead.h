/*
 * What the commands about dead letters share.
 */
#pragma once

/* Reports that a job has no dead letter, and gives the exit status. */
int dead_report_missing(const char *id);
