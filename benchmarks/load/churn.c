/* Memberships that change all the time: every connection joins a room, leaves it,
 * joins another, each as soon as the one before is answered. In the end one more
 * connection asks who is in each room, and that has to be what the answers said.
 *
 *   {"type":"rooms.join","data":{"rooms":[7]}}     and rooms.leave
 *   {"type":"rooms.members","data":{"room":7}}     answered with the members' numbers
 *
 * A member's number is that of its token (--tokens): connection 3 is the fourth. */
#define _GNU_SOURCE /* memmem */
#include "load.h"
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long what was asked last may take, and who is in the rooms. */
#define ANSWER_WAIT (10 * SECOND)
/* From one room of a connection to its next. */
#define STRIDE 7
#define DATA "\"data\":["

struct mover {
    uint32_t room; /* where it is, or goes next */
    bool inside;
    bool waiting; /* for an answer */
    bool found;   /* where it should be, when that is asked */
    int64_t asked;
};

struct churn {
    struct client client;
    const struct options *options;
    struct mover *movers; /* who asks in the end is the connection after the last */

    bool moving;
    uint32_t waiting; /* movers without their answer */
    uint64_t changes;
    uint64_t errors;
    struct histogram latency;

    uint32_t rooms_told;
    uint64_t found;
    uint64_t strangers; /* in a room where they should not be, or twice */
};

static void move(struct churn *run, struct connection *connection)
{
    struct mover *mover = &run->movers[connection->index];
    char text[96];
    int length = snprintf(text, sizeof text,
                          "{\"type\":\"rooms.%s\",\"data\":{\"rooms\":[%u]},\"id\":1}",
                          mover->inside ? "leave" : "join", mover->room);
    mover->waiting = true;
    mover->asked = clock_now();
    run->waiting++;
    client_send(connection, OPCODE_TEXT, text, length);
}

static void moved(struct churn *run, struct connection *connection, enum kind kind)
{
    struct mover *mover = &run->movers[connection->index];
    mover->waiting = false;
    run->waiting--;
    if (kind == MESSAGE_ERROR) {
        run->errors++;
    } else {
        run->changes++;
        histogram_record(&run->latency, run->client.now - mover->asked);
        if (mover->inside)
            mover->room = (mover->room + STRIDE) % run->options->rooms;
        mover->inside = !mover->inside;
    }
    if (run->moving)
        move(run, connection);
}

static void ask_members(struct churn *run, struct connection *asker)
{
    char text[96];
    int length = snprintf(text, sizeof text,
                          "{\"type\":\"rooms.members\",\"data\":{\"room\":%u},\"id\":1}",
                          run->rooms_told);
    client_send(asker, OPCODE_TEXT, text, length);
}

static void tell(struct churn *run, uint64_t number)
{
    struct mover *mover = number < run->options->connections ? &run->movers[number] : NULL;
    if (!mover || !mover->inside || mover->found || mover->room != run->rooms_told) {
        run->strangers++;
        return;
    }
    mover->found = true;
    run->found++;
}

/* The answer about the room that was asked for last: its members' numbers in brackets. */
static void told(struct churn *run, struct connection *asker, const uint8_t *text, size_t length)
{
    const char *at = memmem(text, length, DATA, sizeof DATA - 1);
    const char *end = (const char *)text + length;
    if (at)
        at += sizeof DATA - 1;
    else
        run->errors++;
    while (at && at < end && *at >= '0' && *at <= '9') {
        char *rest;
        tell(run, strtoull(at, &rest, 10));
        at = rest + (rest < end && *rest == ',');
    }
    if (++run->rooms_told < run->options->rooms)
        ask_members(run, asker);
}

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    struct churn *run = client->scenario;
    enum kind kind = message_kind(text, length);
    if (kind == MESSAGE_ERROR && run->client.verbose)
        fprintf(stderr, "load: %.*s\n", (int)(length < 240 ? length : 240), text);
    if (kind == MESSAGE_EVENT)
        return;
    if (connection->index == run->options->connections)
        told(run, connection, text, length);
    else
        moved(run, connection, kind);
}

static void on_ended(struct client *client, struct connection *connection)
{
    struct churn *run = client->scenario;
    if (connection->index == run->options->connections || !run->movers[connection->index].waiting)
        return;
    run->movers[connection->index].waiting = false;
    run->waiting--;
}

static bool serve_until(struct churn *run, int64_t until)
{
    while (clock_now() < until)
        if (!client_poll(&run->client, until))
            return false;
    return true;
}

static void start_moving(struct churn *run)
{
    run->moving = true;
    for (uint32_t i = 0; i < run->options->connections; i++) {
        move(run, &run->client.connections[i]);
        client_flush(&run->client, &run->client.connections[i]);
    }
}

static void look(struct churn *run)
{
    run->moving = false;
    int64_t until = clock_now() + ANSWER_WAIT;
    while (run->waiting && clock_now() < until)
        if (!client_poll(&run->client, until))
            return;
    struct connection *asker = &run->client.connections[run->options->connections];
    ask_members(run, asker);
    client_flush(&run->client, asker);
    while (run->rooms_told < run->options->rooms && clock_now() < until)
        if (!client_poll(&run->client, until))
            return;
}

static void report(const struct churn *run, uint64_t changes, double seconds, struct usage used)
{
    uint64_t inside = 0;
    for (uint32_t i = 0; i < run->options->connections; i++)
        inside += run->movers[i].inside;
    report_begin("churn");
    report_count("connections", run->options->connections);
    report_count("rooms", run->options->rooms);
    report_openings(&run->client);
    report_number("seconds", seconds);
    report_count("changes", changes);
    report_number("rate", seconds > 0 ? changes / seconds : 0);
    report_latency("latency_us", &run->latency);
    report_usage(used, "change", changes);
    report_count("errors", run->errors);
    report_count("unanswered", run->waiting);
    report_count("rooms_told", run->rooms_told);
    report_count("inside", inside);
    report_count("lost", inside - run->found);
    report_count("strangers", run->strangers);
    report_ends(&run->client);
    report_end();
}

int run_churn(const struct options *options)
{
    static struct churn run;
    run.options = options;
    if (!options->rooms || !options->target.tokens) {
        fprintf(stderr, "load: --rooms and --tokens are needed\n");
        return 2;
    }
    struct callbacks callbacks = {.message = on_message, .ended = on_ended};
    if (!prepare(&run.client, options, options->connections + 1, callbacks, &run))
        return 1;
    run.movers = calloc(options->connections, sizeof *run.movers);
    if (!run.movers) {
        perror("load");
        return 1;
    }
    for (uint32_t i = 0; i < options->connections; i++)
        run.movers[i].room = i % options->rooms;

    client_open_all(&run.client);
    bool going = run.client.opened == run.client.count;
    if (going)
        start_moving(&run);
    going = going && serve_until(&run, clock_now() + options->warmup * SECOND);
    uint64_t changes = run.changes;
    struct usage before = usage_now(options->watched, options->watched_count);
    int64_t begun = clock_now();
    going = going && serve_until(&run, begun + options->seconds * SECOND);
    double seconds = (double)(clock_now() - begun) / SECOND;
    struct usage after = usage_now(options->watched, options->watched_count);
    changes = run.changes - changes;
    if (going)
        look(&run);
    report(&run, changes, seconds, usage_between(before, after));

    run.client.callbacks = (struct callbacks){0};
    client_close_all(&run.client, SECOND);
    client_free(&run.client);
    free(run.movers);
    return going ? 0 : 1;
}
