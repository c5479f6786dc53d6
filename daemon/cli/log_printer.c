#include "daemon/cli/log_printer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "context/log/log_text.h"
#include "daemon/cli/log_record.h"
#include "daemon/cli/print.h"

int log_printer_init(struct log_printer *printer, bool json)
{
    /* As https://no-color.org has it. */
    const char *no_colour = getenv("NO_COLOR");
    bool colour = isatty(STDOUT_FILENO) == 1 && (!no_colour || !*no_colour);

    *printer = (struct log_printer){.json = json, .colour = colour, .buffer = malloc(LOG_LINE_MAX)};
    return printer->buffer ? 0 : -ENOMEM;
}

void log_printer_done(struct log_printer *printer)
{
    free(printer->buffer);
    printer->buffer = NULL;
}

void log_printer_print(struct log_printer *printer, const char *line, size_t size)
{
    json_t *object = printer->json ? NULL : log_match_parse(line, size);
    struct log_record_copy copy;

    if (printer->json) {
        (void)fwrite(line, 1, size, stdout);
        putchar('\n');
    } else if (!object || log_record_init(&copy, object) < 0) {
        /* Whatever is in the line, the file may have been written by others than weft. */
        (void)print_escaped(stdout, line, size);
        putchar('\n');
    } else {
        size_t used = log_format_text(&copy.record, printer->colour, printer->buffer, LOG_LINE_MAX);

        (void)fwrite(printer->buffer, 1, used, stdout);
        log_record_done(&copy);
    }
    json_decref(object);
}
