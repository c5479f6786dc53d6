#include "daemon/cli/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

int problem_report(int status, const char *format, ...)
{
    va_list args;

    fputs("weft: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

int problem_report_usage(const char *name, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "weft %s: ", name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see weft %s --help\n", name);
    return EX_USAGE;
}

int problem_report_memory(void)
{
    return problem_report(EX_OSERR, "out of memory");
}
