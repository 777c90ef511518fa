/* A log-linear histogram of durations in nanoseconds: every power of two is cut
 * in 128 equal parts, so a percentile is within 0.8 % of the true one, and
 * recording costs a few instructions however many values there are. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PARTS 128
#define HISTOGRAM_BUCKETS (58 * HISTOGRAM_PARTS)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
    double sum;
};

void histogram_record(struct histogram *histogram, int64_t value);
/* The value below which `share` (0..1) of the values lie; 0 when empty. */
double histogram_percentile(const struct histogram *histogram, double share);
double histogram_mean(const struct histogram *histogram);

#endif
