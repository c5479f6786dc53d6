#include "daemon/metrics/histogram.h"

const struct histogram_bound histogram_bounds[HISTOGRAM_BOUNDS] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},    {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},    {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"},   {5000000, "5"},
    {10000000, "10"}, {30000000, "30"}, {60000000, "60"}, {300000000, "300"}, {1800000000, "1800"},
};

void histogram_add(struct histogram *histogram, int64_t us)
{
    size_t place = 0;

    if (us < 0)
        us = 0;
    while (place < HISTOGRAM_BOUNDS && us > histogram_bounds[place].us)
        place++;
    counter_add(&histogram->counts[place], 1);
    counter_add(&histogram->sum_us, (uint64_t)us);
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        counter_add(&histogram->counts[i], counter_get(&other->counts[i]));
    counter_add(&histogram->sum_us, counter_get(&other->sum_us));
}
