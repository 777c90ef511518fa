/* What opening connections costs: many that stay (idle), and many that come and
 * go (storm). */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

#define CLOSE_WAIT (5 * SECOND)

/* --- idle ------------------------------------------------------------- */

/* Keeps the connections, answering pings, until standard input ends. */
static void hold(struct client *client, double seconds)
{
    /* The deadline was for opening them; holding has a bound of its own. */
    client->deadline = FOREVER;
    int64_t until = clock_now() + seconds * SECOND;
    client_watch_input(client);
    while (!client->input_ended && clock_now() < until)
        client_poll(client, until);
}

int run_idle(const struct options *options)
{
    struct client client;
    struct usage before = usage_now(options->watched, options->watched_count);
    if (!prepare(&client, options, options->connections, (struct callbacks){0}, NULL))
        return 1;
    int64_t begun = clock_now();
    client_open_all(&client);
    double seconds = (double)(clock_now() - begun) / SECOND;
    struct usage after = usage_now(options->watched, options->watched_count);

    report_begin("idle");
    report_count("connections", options->connections);
    report_openings(&client);
    report_number("seconds", seconds);
    report_number("handshakes_per_second", client.opened / seconds);
    report_usage(usage_between(before, after), "handshake", client.opened);
    report_ends(&client);
    report_end();

    bool complete = !client.timed_out && client.opened;
    if (options->hold && complete)
        hold(&client, options->hold_seconds);
    /* The one report is already out, so this is told by the exit status. */
    if (client.unexpected_closes) {
        fprintf(stderr, "load: %llu connections were closed by the server\n",
                (unsigned long long)client.unexpected_closes);
        complete = false;
    }
    if (options->verbose)
        fprintf(stderr, "load: %llu pings answered\n", (unsigned long long)client.pings);
    client_close_all(&client, CLOSE_WAIT);
    client_free(&client);
    return complete ? 0 : 1;
}

/* --- storm ------------------------------------------------------------ */

struct storm {
    struct client client;
    struct connection **idle; /* a stack of those that may connect next */
    uint32_t idle_count;
    struct histogram latency;
};

static void on_opened(struct client *client, struct connection *connection)
{
    struct storm *run = client->scenario;
    histogram_record(&run->latency, client->now - connection->started);
    client_close(client, connection);
}

static void on_ended(struct client *client, struct connection *connection)
{
    struct storm *run = client->scenario;
    run->idle[run->idle_count++] = connection;
}

static void play(struct storm *run, uint32_t total)
{
    uint32_t begun = 0;
    uint32_t slots = run->client.count;
    while (begun < total || run->idle_count < slots) {
        /* As many as are idle now: one that fails at once comes back to the
         * stack, and mustn't keep this loop from the others' events. */
        for (uint32_t left = run->idle_count; left && begun < total; left--, begun++)
            client_open(&run->client, run->idle[--run->idle_count]);
        if (run->idle_count < slots && !client_poll(&run->client, FOREVER))
            return;
    }
}

int run_storm(const struct options *options)
{
    static struct storm run;
    uint32_t slots = options->concurrency;
    if (slots > options->connections)
        slots = options->connections;
    struct callbacks callbacks = {.opened = on_opened, .ended = on_ended};
    if (!prepare(&run.client, options, slots, callbacks, &run))
        return 1;
    run.idle = calloc(slots, sizeof *run.idle);
    if (!run.idle) {
        perror("load");
        return 1;
    }
    while (run.idle_count < slots) {
        run.idle[run.idle_count] = &run.client.connections[run.idle_count];
        run.idle_count++;
    }

    struct usage before = usage_now(options->watched, options->watched_count);
    int64_t begun = clock_now();
    play(&run, options->connections);
    double seconds = (double)(clock_now() - begun) / SECOND;
    struct usage after = usage_now(options->watched, options->watched_count);

    report_begin("storm");
    report_count("connections", options->connections);
    report_count("concurrency", slots);
    report_openings(&run.client);
    report_number("seconds", seconds);
    report_number("rate", run.client.opened / seconds);
    report_latency("handshake_us", &run.latency);
    report_usage(usage_between(before, after), "handshake", run.client.opened);
    report_count("unclean_closes", run.client.unclean_closes);
    report_ends(&run.client);
    report_end();

    bool complete = !run.client.timed_out && run.client.opened;
    client_free(&run.client);
    free(run.idle);
    return complete ? 0 : 1;
}
