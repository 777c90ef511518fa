/* A steady stream: one connection publishes at a fixed rate, the members take
 * the time from the intended publishing until they have each event. Open loop:
 * a server that falls behind is not spared the events that it delays. */
#define _GNU_SOURCE /* memmem */
#include "load.h"
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_WAIT (300 * MILLISECOND)
/* How long what was published may take to arrive after the last second. */
#define STRAGGLER_WAIT (15 * SECOND)
#define AT "\"at\":"

struct subscriber {
    bool asked; /* to join, and not answered */
    uint32_t received;
    int64_t latest; /* when what it received last was published */
};

struct stream {
    struct client client;
    const struct options *options;
    struct request join;
    char *event_prefix;
    size_t event_length;
    char *fill;
    char *text; /* the message that is published */
    size_t text_size;
    struct subscriber *subscribers; /* the publisher is the connection after the last */

    uint32_t undecided;
    uint32_t joined;
    uint64_t join_errors;
    uint64_t errors;
    uint64_t published;
    uint64_t deliveries;
    uint64_t disordered; /* an event came after a later one, or twice */
    struct histogram latency;
    struct histogram lag; /* how late the generator itself published */
};

static bool is_publisher(const struct stream *run, const struct connection *connection)
{
    return connection->index == run->options->connections;
}

static void on_opened(struct client *client, struct connection *connection)
{
    struct stream *run = client->scenario;
    if (is_publisher(run, connection))
        return;
    run->subscribers[connection->index].asked = true;
    run->undecided++;
    size_t length = request_number(&run->join, 1);
    client_send(connection, OPCODE_TEXT, run->join.text, length);
}

static void delivered(struct stream *run, struct subscriber *subscriber, const uint8_t *text,
                      size_t length)
{
    const uint8_t *at = memmem(text, length, AT, sizeof AT - 1);
    if (!at || !run->published)
        return;
    int64_t published = 0;
    for (at += sizeof AT - 1; at < text + length && *at >= '0' && *at <= '9'; at++)
        published = published * 10 + (*at - '0');
    run->disordered += published <= subscriber->latest;
    subscriber->latest = published;
    subscriber->received++;
    run->deliveries++;
    histogram_record(&run->latency, run->client.now - published);
}

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    struct stream *run = client->scenario;
    enum kind kind = message_kind(text, length);
    if (kind == MESSAGE_ERROR && run->client.verbose)
        fprintf(stderr, "load: %.*s\n", (int)(length < 240 ? length : 240), text);
    if (is_publisher(run, connection)) {
        run->errors += kind == MESSAGE_ERROR;
        return;
    }
    struct subscriber *subscriber = &run->subscribers[connection->index];
    if (kind == MESSAGE_EVENT) {
        if (length >= run->event_length && memcmp(text, run->event_prefix, run->event_length) == 0)
            delivered(run, subscriber, text, length);
        return;
    }
    if (!subscriber->asked)
        return;
    subscriber->asked = false;
    run->undecided--;
    run->joined += kind == MESSAGE_RESPONSE;
    run->join_errors += kind == MESSAGE_ERROR;
}

static void on_ended(struct client *client, struct connection *connection)
{
    struct stream *run = client->scenario;
    if (is_publisher(run, connection) || !run->subscribers[connection->index].asked)
        return;
    run->subscribers[connection->index].asked = false;
    run->undecided--;
}

static bool serve_until(struct stream *run, int64_t until)
{
    while (clock_now() < until)
        if (!client_poll(&run->client, until))
            return false;
    return true;
}

static bool join_all(struct stream *run)
{
    client_open_all(&run->client);
    while (run->undecided)
        if (!client_poll(&run->client, FOREVER))
            return false;
    return !run->client.timed_out && run->joined;
}

static void publish(struct stream *run, struct connection *publisher, int64_t due)
{
    int length = snprintf(run->text, run->text_size,
                          "{\"type\":\"%s\",\"data\":{" AT "%lld,\"text\":\"%s\"}}",
                          run->options->type, (long long)due, run->fill);
    client_send(publisher, OPCODE_TEXT, run->text, length);
    client_flush(&run->client, publisher);
    run->published++;
    histogram_record(&run->lag, clock_now() - due);
}

static bool play(struct stream *run, struct connection *publisher)
{
    int64_t begun = clock_now();
    uint64_t total = run->options->rate * run->options->seconds;
    for (uint64_t i = 0; i < total; i++) {
        int64_t due = begun + (int64_t)(i * (double)SECOND / run->options->rate);
        if (!serve_until(run, due) || publisher->state != STATE_OPEN)
            return false;
        publish(run, publisher, due);
    }
    int64_t until = clock_now() + STRAGGLER_WAIT;
    while (run->deliveries < run->published * run->joined && clock_now() < until)
        if (!client_poll(&run->client, until))
            return false;
    return true;
}

static void report(struct stream *run, double seconds, struct usage used)
{
    uint64_t missing = 0;
    uint32_t affected = 0;
    for (uint32_t i = 0; i < run->options->connections; i++) {
        uint64_t received = run->subscribers[i].received;
        if (received < run->published) {
            missing += run->published - received;
            affected++;
        }
    }
    report_begin("stream");
    report_count("members", run->options->connections);
    report_openings(&run->client);
    report_count("joined", run->joined);
    report_count("join_errors", run->join_errors);
    report_number("seconds", seconds);
    report_count("published", run->published);
    report_count("publish_errors", run->errors);
    report_count("deliveries", run->deliveries);
    report_count("missing", missing);
    report_count("members_missing", affected);
    report_count("disordered", run->disordered);
    report_latency("latency_us", &run->latency);
    report_latency("send_lag_us", &run->lag);
    report_usage(used, "delivery", run->deliveries);
    report_ends(&run->client);
    report_end();
}

static bool allocate(struct stream *run)
{
    const struct options *options = run->options;
    size_t prefix = strlen(options->event) + sizeof "{\"type\":\"\"";
    run->text_size = strlen(options->type) + options->payload + 128;
    run->event_prefix = malloc(prefix);
    run->fill = calloc(options->payload + 1, 1);
    run->text = malloc(run->text_size);
    run->subscribers = calloc(options->connections, sizeof *run->subscribers);
    if (!run->event_prefix || !run->fill || !run->text || !run->subscribers) {
        perror("load");
        return false;
    }
    memset(run->fill, 'x', options->payload);
    run->event_length =
        snprintf(run->event_prefix, prefix, "{\"type\":\"%s\"", options->event);
    return true;
}

int run_stream(const struct options *options)
{
    static struct stream run;
    run.options = options;
    if (!options->join || !request_init(&run.join, options->join) || !options->rate) {
        fprintf(stderr, "load: --join needs a JSON object without an id, and --rate is needed\n");
        return 2;
    }
    struct callbacks callbacks = {.opened = on_opened, .message = on_message, .ended = on_ended};
    if (!prepare(&run.client, options, options->connections + 1, callbacks, &run) ||
        !allocate(&run))
        return 1;

    bool going = join_all(&run) && serve_until(&run, clock_now() + SETTLE_WAIT);
    struct usage before = usage_now(options->watched, options->watched_count);
    int64_t begun = clock_now();
    going = going && play(&run, &run.client.connections[options->connections]);
    double seconds = (double)(clock_now() - begun) / SECOND;
    struct usage after = usage_now(options->watched, options->watched_count);
    report(&run, seconds, usage_between(before, after));

    run.client.callbacks = (struct callbacks){0};
    client_close_all(&run.client, SECOND);
    client_free(&run.client);
    request_free(&run.join);
    free(run.event_prefix);
    free(run.fill);
    free(run.text);
    free(run.subscribers);
    return going ? 0 : 1;
}
