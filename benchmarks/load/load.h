/* The options of all subcommands, and the scenarios they run. */
#ifndef LOAD_H
#define LOAD_H

#include "client.h"
#include "dialect.h"
#include "report.h"

#define HEADERS_MAX 16

struct options {
    struct target target;
    const char *headers[HEADERS_MAX];
    int watched[WATCHED_MAX];
    size_t watched_count;
    double deadline;
    bool verbose;
    const struct dialect *dialect; /* of requests and fanout */

    uint32_t connections; /* also the members of fanout */
    /* requests */
    uint32_t outstanding;
    double seconds;
    double warmup;
    uint32_t payload;
    const char *type;
    double rate;
    /* fanout */
    uint32_t broadcasts;
    uint32_t burst;     /* events of a round */
    uint32_t publishes; /* messages that publish them; 0: one for each event */
    double interval_ms;
    double round_timeout;
    const char *join;
    const char *publish;
    const char *event;
    /* idle */
    bool hold;
    double hold_seconds;
    /* storm */
    uint32_t concurrency;
    /* rooms, and churn the first */
    uint32_t rooms;
    uint32_t room_members; /* of each */
    uint32_t publishers;
};

/* Each prints its report and returns the exit status. */
int run_requests(const struct options *options);
int run_fanout(const struct options *options);
int run_stream(const struct options *options);
int run_rooms(const struct options *options);
int run_churn(const struct options *options);
int run_idle(const struct options *options);
int run_storm(const struct options *options);

/* Connections for a scenario, with the deadline set; false says why on stderr. */
bool prepare(struct client *client, const struct options *options, uint32_t count,
             struct callbacks callbacks, void *scenario);

#endif
