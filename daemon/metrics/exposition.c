#include "daemon/metrics/exposition.h"

#include <inttypes.h>

/* A buffer that there is no memory for stays as it was, and whoever scrapes finds the page cut. */

void exposition_begin(struct evbuffer *buffer, const char *name, const char *type, const char *help)
{
    (void)evbuffer_add_printf(buffer, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_name(struct evbuffer *buffer, const char *name, const char *labels)
{
    if (*labels)
        (void)evbuffer_add_printf(buffer, "%s{%s} ", name, labels);
    else
        (void)evbuffer_add_printf(buffer, "%s ", name);
}

void exposition_add(struct evbuffer *buffer, const char *name, const char *labels, uint64_t value)
{
    add_name(buffer, name, labels);
    (void)evbuffer_add_printf(buffer, "%" PRIu64 "\n", value);
}

void exposition_single(struct evbuffer *buffer, const char *name, const char *type, const char *help, uint64_t value)
{
    exposition_begin(buffer, name, type, help);
    exposition_add(buffer, name, "", value);
}

void exposition_add_real(struct evbuffer *buffer, const char *name, const char *labels, double value)
{
    add_name(buffer, name, labels);
    (void)evbuffer_add_printf(buffer, "%.6f\n", value);
}

void exposition_add_histogram(struct evbuffer *buffer, const char *name, const char *labels,
                              const struct histogram *histogram)
{
    const char *comma = *labels ? "," : "", *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    uint64_t count = 0;

    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        count += counter_get(&histogram->counts[i]);
        (void)evbuffer_add_printf(buffer, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma,
                                  i < HISTOGRAM_BOUNDS ? histogram_bounds[i].seconds : "+Inf", count);
    }
    (void)evbuffer_add_printf(buffer, "%s_sum%s%s%s %.6f\n%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close,
                              (double)counter_get(&histogram->sum_us) / 1e6, name, open, labels, close, count);
}
