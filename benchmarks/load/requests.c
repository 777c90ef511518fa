/* Requests and their answers: every connection keeps a number of requests
 * outstanding (closed loop), or all of them together send at a fixed rate
 * whatever the server does (open loop, --rate). */
#include "dialect.h"
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRAGGLER_WAIT (2 * SECOND)
#define ERROR_TEXT 240
/* How many overdue requests are sent before the answers are looked at again. */
#define PACED_AT_ONCE 64

/* A place for one outstanding request. Its number plus a multiple of the
 * places of a connection is the request's id, so an answer in any order finds
 * its place without a search. */
struct flight {
    uint64_t id; /* of the outstanding request, 0 when the place is free */
    uint64_t next_id;
    int64_t since; /* when it was sent, or should have been by the rate */
};

struct lane {
    uint32_t *free_places; /* a stack */
    uint32_t free_count;
};

struct requests {
    struct client client;
    const struct options *options;
    struct request request;
    struct flight *flights; /* `outstanding` for each connection */
    struct lane *lanes;
    uint32_t *free_places;

    bool sending;
    int64_t window_start;
    int64_t window_end;
    uint64_t in_flight;
    uint64_t answered; /* in the window */
    uint64_t errors;   /* in the whole run */
    uint64_t unmatched;
    uint64_t events;
    uint64_t unanswered;
    char error_text[ERROR_TEXT];
    size_t error_length;

    /* The rest is of the open loop. */
    int64_t pace_start;
    uint64_t paced;
    uint32_t next_connection;
    struct histogram lag; /* how late the generator itself sent */

    struct histogram latency;
    struct traffic before, after; /* the window */
};

static bool in_window(const struct requests *run, int64_t time)
{
    return time >= run->window_start && time < run->window_end;
}

static void send_request(struct requests *run, struct connection *connection, int64_t since)
{
    struct lane *lane = &run->lanes[connection->index];
    uint32_t place = lane->free_places[--lane->free_count];
    struct flight *flight =
        &run->flights[(size_t)connection->index * run->options->outstanding + place];
    flight->id = flight->next_id;
    flight->next_id += run->options->outstanding;
    flight->since = since;
    run->in_flight++;
    size_t length = run->options->dialect->number(&run->request, flight->id);
    client_send(connection, run->options->dialect->opcode, run->request.text, length);
}

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    struct requests *run = client->scenario;
    enum kind kind = run->options->dialect->kind(text, length);
    if (kind == MESSAGE_EVENT) {
        run->events++;
        return;
    }
    if (kind == MESSAGE_ERROR && run->errors++ == 0) {
        run->error_length = length < ERROR_TEXT ? length : ERROR_TEXT;
        memcpy(run->error_text, text, run->error_length);
    }
    uint32_t places = run->options->outstanding;
    uint64_t id;
    if (!run->options->dialect->id(text, length, &id) || !id) {
        run->unmatched++;
        return;
    }
    uint32_t place = (id - 1) % places;
    struct flight *flight = &run->flights[(size_t)connection->index * places + place];
    if (flight->id != id) {
        run->unmatched++;
        return;
    }
    flight->id = 0;
    run->in_flight--;
    struct lane *lane = &run->lanes[connection->index];
    lane->free_places[lane->free_count++] = place;

    if (kind == MESSAGE_RESPONSE) {
        run->answered += in_window(run, client->now);
        if (in_window(run, flight->since))
            histogram_record(&run->latency, client->now - flight->since);
    }
    if (run->sending && !run->options->rate)
        send_request(run, connection, client->now);
}

static void on_ended(struct client *client, struct connection *connection)
{
    struct requests *run = client->scenario;
    struct lane *lane = &run->lanes[connection->index];
    uint32_t lost = run->options->outstanding - lane->free_count;
    run->in_flight -= lost;
    run->unanswered += lost;
    lane->free_count = 0;
}

/* The next open connection with a free place, in turn; NULL when there is none. */
static struct connection *next_free(struct requests *run)
{
    for (uint32_t tried = 0; tried < run->client.count; tried++) {
        uint32_t index = run->next_connection;
        run->next_connection = index + 1 == run->client.count ? 0 : index + 1;
        if (run->client.connections[index].state == STATE_OPEN && run->lanes[index].free_count)
            return &run->client.connections[index];
    }
    return NULL;
}

/* Sends what is due by the rate; returns when the next one is. A request that
 * finds every place taken stays due: its latency counts from when it should
 * have been sent, so a stalled server can't hide by slowing the generator. */
static int64_t send_due(struct requests *run)
{
    double gap = SECOND / run->options->rate;
    int64_t now = clock_now();
    for (int sent = 0; sent < PACED_AT_ONCE; sent++) {
        int64_t due = run->pace_start + run->paced * gap;
        if (due > now)
            return due;
        if (run->in_flight == (uint64_t)run->client.live * run->options->outstanding)
            return FOREVER; /* an answer wakes the loop */
        struct connection *connection = next_free(run);
        if (!connection)
            return FOREVER;
        run->paced++;
        if (in_window(run, due))
            histogram_record(&run->lag, now - due);
        send_request(run, connection, due);
        client_flush(&run->client, connection);
    }
    return now;
}

/* Serves the connections until a moment; false when nothing is left to serve. */
static bool serve_until(struct requests *run, int64_t until)
{
    while (clock_now() < until) {
        int64_t wake = until;
        if (run->sending && run->options->rate) {
            int64_t due = send_due(run);
            wake = due < until ? due : until;
        }
        if (!run->client.live || !client_poll(&run->client, wake))
            return false;
    }
    return true;
}

static void start_sending(struct requests *run)
{
    int64_t now = clock_now();
    run->sending = true;
    run->pace_start = now;
    run->window_start = now + run->options->warmup * SECOND;
    run->window_end = run->window_start + run->options->seconds * SECOND;
    if (run->options->rate)
        return;
    for (uint32_t i = 0; i < run->client.count; i++) {
        struct connection *connection = &run->client.connections[i];
        if (connection->state != STATE_OPEN)
            continue;
        for (uint32_t place = 0; place < run->options->outstanding; place++)
            send_request(run, connection, clock_now());
        client_flush(&run->client, connection);
    }
}

static void wait_stragglers(struct requests *run)
{
    run->sending = false;
    int64_t until = clock_now() + STRAGGLER_WAIT;
    while (run->in_flight && clock_now() < until)
        if (!client_poll(&run->client, until))
            break;
    run->unanswered += run->in_flight;
}

/* {"type":"<type>","data":{"text":"xx…"}}, the data `payload` bytes long, or 11
 * when that is less than an empty text takes. */
static bool write_request(struct requests *run)
{
    const struct options *options = run->options;
    const int around = sizeof "{\"text\":\"\"}" - 1;
    int fill = (int)options->payload > around ? (int)options->payload - around : 0;
    size_t size = strlen(options->type) + fill + 64;
    char *object = malloc(size);
    if (!object)
        return false;
    int head = snprintf(object, size, "{\"type\":\"%s\",\"data\":{\"text\":\"", options->type);
    memset(object + head, 'x', fill);
    strcpy(object + head + fill, "\"}}");
    bool written = options->dialect->init(&run->request, object);
    free(object);
    return written;
}

static bool allocate(struct requests *run)
{
    size_t connections = run->options->connections;
    uint32_t places = run->options->outstanding;
    run->flights = calloc(connections * places, sizeof *run->flights);
    run->free_places = calloc(connections * places, sizeof *run->free_places);
    run->lanes = calloc(connections, sizeof *run->lanes);
    if (!run->flights || !run->free_places || !run->lanes || !write_request(run)) {
        perror("load");
        return false;
    }
    for (size_t i = 0; i < connections; i++) {
        run->lanes[i] = (struct lane){run->free_places + i * places, places};
        for (uint32_t place = 0; place < places; place++) {
            run->free_places[i * places + place] = place;
            run->flights[i * places + place].next_id = place + 1;
        }
    }
    return true;
}

static void report(const struct requests *run, double opening, double seconds, struct usage used)
{
    const struct options *options = run->options;
    report_begin("requests");
    report_count("connections", options->connections);
    report_count("outstanding", options->outstanding);
    report_count("payload", options->payload);
    if (options->rate)
        report_number("target_rate", options->rate);
    report_openings(&run->client);
    report_number("opening_seconds", opening);
    report_count("requests", run->answered);
    report_count("errors", run->errors);
    report_text("first_error", run->errors ? run->error_text : NULL, run->error_length);
    report_number("seconds", seconds);
    report_number("rate", seconds > 0 ? run->answered / seconds : 0);
    report_latency("latency_us", &run->latency);
    if (options->rate)
        report_latency("send_lag_us", &run->lag);
    report_usage(used, "request", run->answered);
    report_traffic(run->before, run->after, "answer", run->answered);
    report_count("unanswered", run->unanswered);
    report_count("unmatched", run->unmatched);
    report_count("events", run->events);
    report_ends(&run->client);
    report_end();
}

int run_requests(const struct options *options)
{
    static struct requests run; /* static: too large for the stack */
    run.options = options;
    struct callbacks callbacks = {.message = on_message, .ended = on_ended};
    bool ready = prepare(&run.client, options, options->connections, callbacks, &run) &&
                 allocate(&run) && dialect_begin(options->dialect, &run.client);
    if (!ready)
        return 1;

    int64_t begun = clock_now();
    client_open_all(&run.client);
    double opening = (double)(clock_now() - begun) / SECOND;
    if (options->verbose)
        fprintf(stderr, "load: %llu of %u open in %.2f s\n",
                (unsigned long long)run.client.opened, options->connections, opening);

    start_sending(&run);
    bool served = serve_until(&run, run.window_start);
    run.before = run.client.received;
    struct usage before = usage_now(options->watched, options->watched_count);
    served = served && serve_until(&run, run.window_end);
    struct usage after = usage_now(options->watched, options->watched_count);
    run.after = run.client.received;
    int64_t end = clock_now();
    if (served)
        end = run.window_end;
    else if (end < run.window_start)
        end = run.window_start;
    wait_stragglers(&run);
    report(&run, opening, (double)(end - run.window_start) / SECOND,
           usage_between(before, after));

    bool complete = served && !run.client.timed_out;
    run.client.callbacks = (struct callbacks){0};
    client_close_all(&run.client, SECOND);
    client_free(&run.client);
    dialect_end(options->dialect);
    request_free(&run.request);
    free(run.flights);
    free(run.free_places);
    free(run.lanes);
    return complete ? 0 : 1;
}
