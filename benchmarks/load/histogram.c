#include "histogram.h"

/* Values below HISTOGRAM_PARTS have a bucket each; above, the bucket is the
 * power of two and the seven bits after the leading one. */
static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_PARTS)
        return value;
    unsigned shift = 63 - __builtin_clzll(value) - 7;
    return (shift + 1) * HISTOGRAM_PARTS + ((value >> shift) - HISTOGRAM_PARTS);
}

static double middle_of(unsigned bucket)
{
    if (bucket < HISTOGRAM_PARTS)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_PARTS - 1;
    double width = (double)(1ull << shift);
    return (HISTOGRAM_PARTS + bucket % HISTOGRAM_PARTS + 0.5) * width;
}

void histogram_record(struct histogram *histogram, int64_t value)
{
    uint64_t positive = value > 0 ? value : 0;
    histogram->counts[bucket_of(positive)]++;
    histogram->total++;
    histogram->sum += positive;
    if (positive > histogram->max)
        histogram->max = positive;
}

double histogram_percentile(const struct histogram *histogram, double share)
{
    uint64_t wanted = share * histogram->total;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen > wanted) {
            double value = middle_of(bucket);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->total ? histogram->sum / histogram->total : 0;
}
