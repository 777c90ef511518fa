#include "report.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

/* --- CPU time --------------------------------------------------------- */

/* By the process's own clock: /proc/PID/stat counts in ticks of 10 ms, and a server
 * that is hardly busy has few of them in a window. */
static double process_seconds(int process)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(process, &clock) != 0 || clock_gettime(clock, &time) < 0)
        return -1;
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time)
{
    return time.tv_sec + time.tv_usec / 1e6;
}

struct usage usage_now(const int *processes, size_t count)
{
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    struct usage usage = {
        .user = seconds_of(own.ru_utime), .system = seconds_of(own.ru_stime), .watched_count = count};
    for (size_t i = 0; i < count; i++)
        usage.watched[i] = process_seconds(processes[i]);
    return usage;
}

struct usage usage_between(struct usage before, struct usage after)
{
    struct usage used = {.user = after.user - before.user,
                         .system = after.system - before.system,
                         .watched_count = after.watched_count};
    for (size_t i = 0; i < after.watched_count; i++) {
        bool gone = before.watched[i] < 0 || after.watched[i] < 0;
        used.watched[i] = gone ? -1 : after.watched[i] - before.watched[i];
    }
    return used;
}

/* --- JSON ------------------------------------------------------------- */

void report_begin(const char *scenario)
{
    printf("{\"scenario\":\"%s\"", scenario);
}

void report_end(void)
{
    puts("}");
    fflush(stdout);
}

void report_count(const char *name, uint64_t value)
{
    printf(",\"%s\":%llu", name, (unsigned long long)value);
}

void report_number(const char *name, double value)
{
    printf(",\"%s\":%.3f", name, value);
}

void report_flag(const char *name, bool value)
{
    printf(",\"%s\":%s", name, value ? "true" : "false");
}

void report_text(const char *name, const char *text, size_t length)
{
    printf(",\"%s\":", name);
    if (!text) {
        printf("null");
        return;
    }
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = text[i];
        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20 || byte >= 0x7f) /* a cut character must not break the JSON */
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

void report_tally(const char *name, const uint64_t *counts, size_t size)
{
    const char *comma = "";
    printf(",\"%s\":{", name);
    for (size_t i = 0; i < size; i++) {
        if (!counts[i])
            continue;
        printf("%s\"%zu\":%llu", comma, i, (unsigned long long)counts[i]);
        comma = ",";
    }
    putchar('}');
}

void report_latency(const char *name, const struct histogram *histogram)
{
    printf(",\"%s\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,"
           "\"mean\":%.1f}",
           name, histogram_percentile(histogram, 0.5) / 1e3,
           histogram_percentile(histogram, 0.9) / 1e3, histogram_percentile(histogram, 0.99) / 1e3,
           histogram_percentile(histogram, 0.999) / 1e3, histogram->max / 1e3,
           histogram_mean(histogram) / 1e3);
}

void report_usage(struct usage used, const char *thing, uint64_t count)
{
    double scale = count ? 1e6 / count : 0;
    printf(",\"cpu_seconds\":%.3f,\"cpu_user_seconds\":%.3f,\"cpu_us_per_%s\":%.3f,"
           "\"cpu_user_us_per_%s\":%.3f,\"watched_cpu_us_per_%s\":[",
           used.user + used.system, used.user, thing, (used.user + used.system) * scale, thing,
           used.user * scale, thing);
    for (size_t i = 0; i < used.watched_count; i++) {
        if (used.watched[i] < 0)
            printf("%snull", i ? "," : "");
        else
            printf("%s%.3f", i ? "," : "", used.watched[i] * scale);
    }
    printf("]");
}

void report_traffic(struct traffic before, struct traffic after, const char *thing, uint64_t count)
{
    uint64_t messages = after.messages - before.messages;
    printf(",\"bytes_per_%s\":%.3f,\"compressed_share\":%.3f", thing,
           count ? (double)(after.bytes - before.bytes) / count : 0,
           messages ? (double)(after.compressed - before.compressed) / messages : 0);
}

void report_openings(const struct client *client)
{
    report_count("opened", client->opened);
    report_count("failed", client->failed);
    report_count("broken", client->broken);
    report_tally("refused", client->refused, STATUS_MAX);
}

void report_ends(const struct client *client)
{
    report_count("unexpected_closes", client->unexpected_closes);
    report_tally("close_codes", client->close_codes, CLOSE_CODE_MAX);
    report_count("protocol_errors", client->protocol_errors);
    report_flag("timed_out", client->timed_out);
}
