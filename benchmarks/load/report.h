/* The one JSON object on standard output, and the CPU time it tells. */
#ifndef REPORT_H
#define REPORT_H

#include "client.h"
#include "histogram.h"

#define WATCHED_MAX 16

struct usage {
    double user; /* own seconds */
    double system;
    size_t watched_count;
    double watched[WATCHED_MAX]; /* seconds of each watched process, -1 when it is gone */
};

struct usage usage_now(const int *processes, size_t count);
struct usage usage_between(struct usage before, struct usage after);

void report_begin(const char *scenario);
void report_count(const char *name, uint64_t value);
void report_number(const char *name, double value);
void report_flag(const char *name, bool value);
void report_text(const char *name, const char *text, size_t length); /* NULL: null */
/* {"<index>":count} of those that aren't zero */
void report_tally(const char *name, const uint64_t *counts, size_t size);
/* microseconds: p50, p90, p99, p999, max, mean */
void report_latency(const char *name, const struct histogram *histogram);
/* Own CPU and that of each watched process, per `count` things of this name. */
void report_usage(struct usage used, const char *thing, uint64_t count);
/* Bytes per `count` things of this name, and the share of messages that were compressed. */
void report_traffic(struct traffic before, struct traffic after, const char *thing, uint64_t count);
void report_openings(const struct client *client);
void report_ends(const struct client *client);
void report_end(void);

#endif
