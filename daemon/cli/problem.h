/*
 * What went wrong, for the person at the terminal.
 */
#pragma once

/* Prints `weft: `, the sentence (printf's) and a line feed on stderr, and gives `status`. Data from elsewhere has to be
 * made fit for a terminal before. */
int problem_report(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a wrong command line of the command `name`: says where the right one is described, and gives
 * EX_USAGE. */
int problem_report_usage(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reports that there is no memory, and gives EX_OSERR. */
int problem_report_memory(void);
