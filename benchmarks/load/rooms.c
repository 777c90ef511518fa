/* Events to many rooms: every connection is a member of some of them, and some
 * more connections publish to all rooms in turn, each as fast as it is answered.
 *
 *   {"type":"rooms.join","data":{"rooms":[0,10,20]}}   what a member asks for once
 *   {"type":"rooms.publish","data":{"room":7}}         what a publisher asks for
 *   {"type":"rooms.event","data":{"room":7,…}}         what each member of room 7 has to get
 *
 * The memberships are dealt to the connections like cards, so the members of a
 * room are that many connections, whatever the number of rooms. */
#define _GNU_SOURCE /* memmem */
#include "load.h"
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_WAIT (300 * MILLISECOND)
#define STRAGGLER_WAIT (5 * SECOND)
#define EVENT "{\"type\":\"rooms.event\""
#define ROOM "\"room\":"

struct counts {
    uint64_t published;
    uint64_t answered;
    uint64_t deliveries;
};

struct rooms {
    struct client client;
    const struct options *options;
    struct buffer text; /* the message that is written */

    uint32_t undecided; /* joins that are not answered */
    uint64_t join_errors;
    bool publishing;
    uint64_t in_flight;
    struct counts counts;
    uint64_t publish_errors;
    uint64_t misdirected; /* events that came to who is not in their room */
    struct histogram latency; /* of a publish until its answer */
    int64_t *asked;           /* when each publisher asked last */
};

static bool is_publisher(const struct rooms *run, const struct connection *connection)
{
    return connection->index >= run->options->connections;
}

static uint64_t memberships(const struct rooms *run)
{
    return (uint64_t)run->options->rooms * run->options->room_members;
}

/* Those of a room follow each other around the table. */
static bool is_member(const struct rooms *run, uint64_t room, uint32_t index)
{
    uint64_t count = run->options->connections;
    uint64_t first = room * run->options->room_members % count;
    return room < run->options->rooms &&
           (index + count - first) % count < run->options->room_members;
}

static void append(struct buffer *text, const char *format, uint64_t value)
{
    char part[64];
    buffer_append(text, part, snprintf(part, sizeof part, format, (unsigned long long)value));
}

static void on_opened(struct client *client, struct connection *connection)
{
    struct rooms *run = client->scenario;
    if (is_publisher(run, connection) || connection->index >= memberships(run))
        return;
    run->text.length = 0;
    const char *format = "{\"type\":\"rooms.join\",\"data\":{\"rooms\":[%llu";
    for (uint64_t i = connection->index; i < memberships(run); i += run->options->connections) {
        append(&run->text, format, i / run->options->room_members);
        format = ",%llu";
    }
    append(&run->text, "]},\"id\":%llu}", 1);
    client_send(connection, OPCODE_TEXT, run->text.bytes, run->text.length);
    run->undecided++;
}

static void publish(struct rooms *run, struct connection *publisher)
{
    char text[96];
    int length = snprintf(text, sizeof text,
                          "{\"type\":\"rooms.publish\",\"data\":{\"room\":%llu},\"id\":1}",
                          (unsigned long long)(run->counts.published++ % run->options->rooms));
    run->in_flight++;
    run->asked[publisher->index - run->options->connections] = clock_now();
    client_send(publisher, OPCODE_TEXT, text, length);
}

static void delivered(struct rooms *run, const struct connection *connection, const uint8_t *text,
                      size_t length)
{
    const uint8_t *at = memmem(text, length, ROOM, sizeof ROOM - 1);
    uint64_t room = at ? strtoull((const char *)at + sizeof ROOM - 1, NULL, 10) : UINT64_MAX;
    run->counts.deliveries++;
    run->misdirected += !is_member(run, room, connection->index);
}

static void answered(struct rooms *run, struct connection *publisher, enum kind kind)
{
    run->in_flight--;
    if (kind == MESSAGE_RESPONSE)
        run->counts.answered++;
    else
        run->publish_errors++;
    int64_t asked = run->asked[publisher->index - run->options->connections];
    histogram_record(&run->latency, run->client.now - asked);
    if (run->publishing)
        publish(run, publisher);
}

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    struct rooms *run = client->scenario;
    if (length >= sizeof EVENT && memcmp(text, EVENT, sizeof EVENT - 1) == 0) {
        delivered(run, connection, text, length);
        return;
    }
    enum kind kind = message_kind(text, length);
    if (kind == MESSAGE_ERROR && run->client.verbose)
        fprintf(stderr, "load: %.*s\n", (int)(length < 240 ? length : 240), text);
    if (kind == MESSAGE_EVENT)
        return;
    if (is_publisher(run, connection)) {
        answered(run, connection, kind);
        return;
    }
    run->undecided--;
    run->join_errors += kind == MESSAGE_ERROR;
}

static bool serve_until(struct rooms *run, int64_t until)
{
    while (clock_now() < until)
        if (!client_poll(&run->client, until))
            return false;
    return true;
}

/* A member that is lost before its answer would be waited for until the deadline. */
static bool join_all(struct rooms *run)
{
    client_open_all(&run->client);
    while (run->undecided && !run->client.unexpected_closes)
        if (!client_poll(&run->client, FOREVER))
            return false;
    return run->client.opened == run->client.count && !run->undecided;
}

static void start_publishing(struct rooms *run)
{
    run->publishing = true;
    for (uint32_t i = run->options->connections; i < run->client.count; i++) {
        publish(run, &run->client.connections[i]);
        client_flush(&run->client, &run->client.connections[i]);
    }
}

static uint64_t missing(const struct rooms *run)
{
    uint64_t expected = run->counts.answered * run->options->room_members;
    return expected > run->counts.deliveries ? expected - run->counts.deliveries : 0;
}

static void wait_stragglers(struct rooms *run)
{
    run->publishing = false;
    int64_t until = clock_now() + STRAGGLER_WAIT;
    while ((run->in_flight || missing(run)) && clock_now() < until)
        if (!client_poll(&run->client, until))
            return;
}

static void report(const struct rooms *run, struct counts window, double seconds,
                   struct usage used)
{
    uint64_t expected = run->counts.answered * run->options->room_members;
    report_begin("rooms");
    report_count("connections", run->options->connections);
    report_count("rooms", run->options->rooms);
    report_count("room_members", run->options->room_members);
    report_count("publishers", run->options->publishers);
    report_openings(&run->client);
    report_count("join_errors", run->join_errors);
    report_number("seconds", seconds);
    report_count("publishes", window.answered);
    report_number("rate", seconds > 0 ? window.answered / seconds : 0);
    report_count("deliveries", window.deliveries);
    report_latency("answer_us", &run->latency);
    report_usage(used, "delivery", window.deliveries);
    report_count("missing", missing(run));
    report_count("surplus",
                 run->counts.deliveries > expected ? run->counts.deliveries - expected : 0);
    report_count("misdirected", run->misdirected);
    report_count("publish_errors", run->publish_errors);
    report_count("unanswered", run->in_flight);
    report_ends(&run->client);
    report_end();
}

int run_rooms(const struct options *options)
{
    static struct rooms run;
    run.options = options;
    if (!options->rooms || options->room_members > options->connections) {
        fprintf(stderr, "load: --rooms is needed, and as many connections as a room has members\n");
        return 2;
    }
    struct callbacks callbacks = {.opened = on_opened, .message = on_message};
    uint32_t count = options->connections + options->publishers;
    if (!prepare(&run.client, options, count, callbacks, &run))
        return 1;
    run.asked = calloc(options->publishers, sizeof *run.asked);
    if (!run.asked) {
        perror("load");
        return 1;
    }

    bool going = join_all(&run) && serve_until(&run, clock_now() + SETTLE_WAIT);
    if (going)
        start_publishing(&run);
    going = going && serve_until(&run, clock_now() + options->warmup * SECOND);
    struct counts window = run.counts;
    struct usage before = usage_now(options->watched, options->watched_count);
    int64_t begun = clock_now();
    going = going && serve_until(&run, begun + options->seconds * SECOND);
    double seconds = (double)(clock_now() - begun) / SECOND;
    struct usage after = usage_now(options->watched, options->watched_count);
    window.answered = run.counts.answered - window.answered;
    window.deliveries = run.counts.deliveries - window.deliveries;
    wait_stragglers(&run);
    report(&run, window, seconds, usage_between(before, after));

    run.client.callbacks = (struct callbacks){0};
    client_close_all(&run.client, SECOND);
    client_free(&run.client);
    buffer_free(&run.text);
    free(run.asked);
    return going ? 0 : 1;
}
