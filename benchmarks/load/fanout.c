/* Broadcasts: one connection publishes to a group of members, and a round is
 * over when the last of them has what was published. */
#include "dialect.h"
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lets what the joins still cause (presence events, say) arrive before the
 * first round, so that it costs neither side time in it. */
#define SETTLE_WAIT (300 * MILLISECOND)
/* How long the publisher's last answers may take after the last round. */
#define ANSWER_WAIT SECOND

enum membership { NOT_OPEN, JOINING, JOINED, LEFT };

struct member {
    enum membership membership;
    uint32_t received; /* in this round */
};

struct round {
    int64_t sent;
    uint64_t expected;
    uint64_t delivered;
    uint32_t pending; /* members that have not received all of it */
    int64_t first, half, last;
};

struct fanout {
    struct client client;
    const struct options *options;
    struct request join;
    struct request publish;
    char *event_prefix;
    size_t event_length;
    struct member *members; /* the publisher is the connection after the last */

    uint32_t joined;    /* and still there */
    uint32_t undecided; /* join sent, not answered */
    uint64_t join_errors;
    bool in_round;
    struct round round;
    uint64_t deliveries;
    uint64_t missing;
    uint64_t surplus; /* events outside a round or above the burst */
    uint64_t published;
    uint64_t publish_answers;
    uint64_t publish_errors;

    double *first, *half, *last; /* milliseconds of each complete round */
    uint32_t rounds;             /* complete ones */
    uint32_t incomplete;
    double active_seconds; /* in rounds, without the pauses */
    struct traffic before, after; /* the rounds */
};

static bool is_publisher(const struct fanout *run, const struct connection *connection)
{
    return connection->index == run->options->connections;
}

static void on_opened(struct client *client, struct connection *connection)
{
    struct fanout *run = client->scenario;
    if (is_publisher(run, connection))
        return;
    run->members[connection->index].membership = JOINING;
    run->undecided++;
    size_t length = run->options->dialect->number(&run->join, 1);
    client_send(connection, run->options->dialect->opcode, run->join.text, length);
}

static void delivered(struct fanout *run, struct member *member)
{
    struct round *round = &run->round;
    if (!run->in_round || member->membership != JOINED || member->received == run->options->burst) {
        run->surplus++;
        return;
    }
    int64_t now = run->client.now;
    if (round->delivered++ == 0)
        round->first = now;
    if (round->delivered == (round->expected + 1) / 2)
        round->half = now;
    if (++member->received == run->options->burst) {
        round->pending--;
        round->last = now;
    }
}

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    struct fanout *run = client->scenario;
    if (length >= run->event_length && memcmp(text, run->event_prefix, run->event_length) == 0) {
        if (!is_publisher(run, connection))
            delivered(run, &run->members[connection->index]);
        return;
    }
    enum kind kind = run->options->dialect->kind(text, length);
    if (kind == MESSAGE_EVENT)
        return;
    if (kind == MESSAGE_ERROR && run->client.verbose)
        fprintf(stderr, "load: %.*s\n", (int)(length < 240 ? length : 240), text);
    if (is_publisher(run, connection)) {
        run->publish_answers++;
        run->publish_errors += kind == MESSAGE_ERROR;
        return;
    }
    struct member *member = &run->members[connection->index];
    if (member->membership != JOINING)
        return;
    run->undecided--;
    if (kind == MESSAGE_RESPONSE) {
        member->membership = JOINED;
        run->joined++;
    } else {
        member->membership = LEFT;
        run->join_errors++;
    }
}

static void on_ended(struct client *client, struct connection *connection)
{
    struct fanout *run = client->scenario;
    if (is_publisher(run, connection))
        return;
    struct member *member = &run->members[connection->index];
    if (member->membership == JOINING) {
        run->undecided--;
    } else if (member->membership == JOINED) {
        run->joined--;
        if (run->in_round && member->received < run->options->burst)
            run->round.pending--;
    }
    member->membership = LEFT;
}

/* Waits, serving, until `until`; false at the deadline. */
static bool serve_until(struct fanout *run, int64_t until)
{
    while (clock_now() < until)
        if (!client_poll(&run->client, until))
            return false;
    return true;
}

static bool join_all(struct fanout *run)
{
    client_open_all(&run->client);
    while (run->undecided)
        if (!client_poll(&run->client, FOREVER))
            return false;
    return !run->client.timed_out;
}

static void begin_round(struct fanout *run, struct connection *publisher)
{
    for (uint32_t i = 0; i < run->options->connections; i++)
        run->members[i].received = 0;
    run->round = (struct round){
        .expected = (uint64_t)run->joined * run->options->burst,
        .pending = run->joined,
    };
    uint32_t publishes =
        run->options->publishes ? run->options->publishes : run->options->burst;
    for (uint32_t i = 0; i < publishes; i++) {
        size_t length = run->options->dialect->number(&run->publish, ++run->published);
        client_send(publisher, run->options->dialect->opcode, run->publish.text, length);
    }
    run->in_round = true;
    run->round.sent = clock_now();
    client_flush(&run->client, publisher);
}

static double milliseconds(int64_t from, int64_t to)
{
    return (double)(to - from) / MILLISECOND;
}

static void end_round(struct fanout *run)
{
    struct round *round = &run->round;
    run->in_round = false;
    run->deliveries += round->delivered;
    run->missing += round->expected - round->delivered;
    if (round->delivered < round->expected) {
        run->incomplete++;
        run->active_seconds += milliseconds(round->sent, clock_now()) / 1e3;
        return;
    }
    run->first[run->rounds] = milliseconds(round->sent, round->first);
    run->half[run->rounds] = milliseconds(round->sent, round->half);
    run->last[run->rounds] = milliseconds(round->sent, round->last);
    run->active_seconds += run->last[run->rounds] / 1e3;
    run->rounds++;
}

static bool play_round(struct fanout *run, struct connection *publisher)
{
    begin_round(run, publisher);
    int64_t until = run->round.sent + run->options->round_timeout * SECOND;
    bool in_time = true;
    while (in_time && run->round.pending && clock_now() < until)
        in_time = client_poll(&run->client, until);
    end_round(run);
    if (run->client.verbose)
        fprintf(stderr, "load: %llu of %llu deliveries, %.2f ms\n",
                (unsigned long long)run->round.delivered, (unsigned long long)run->round.expected,
                milliseconds(run->round.sent, run->round.last));
    return in_time && serve_until(run, clock_now() + run->options->interval_ms * MILLISECOND);
}

static void await_answers(struct fanout *run)
{
    int64_t until = clock_now() + ANSWER_WAIT;
    while (run->publish_answers < run->published && clock_now() < until)
        if (!client_poll(&run->client, until))
            return;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void report_spread(const char *name, double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, by_value);
    double median = 0;
    if (count)
        median = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    printf(",\"%s\":{\"median\":%.3f,\"min\":%.3f,\"max\":%.3f}", name, median,
           count ? values[0] : 0, count ? values[count - 1] : 0);
}

static void report(struct fanout *run, double opening, struct usage used)
{
    const struct options *options = run->options;
    report_begin("fanout");
    report_count("members", options->connections);
    report_count("broadcasts", options->broadcasts);
    report_count("burst", options->burst);
    report_openings(&run->client);
    report_number("opening_seconds", opening);
    report_count("join_errors", run->join_errors);
    report_count("rounds", run->rounds);
    report_count("incomplete_rounds", run->incomplete);
    report_spread("first_ms", run->first, run->rounds);
    report_spread("half_ms", run->half, run->rounds);
    report_spread("last_ms", run->last, run->rounds);
    report_count("deliveries", run->deliveries);
    report_count("missing", run->missing);
    report_count("surplus", run->surplus);
    report_number("deliveries_per_second",
                  run->active_seconds > 0 ? run->deliveries / run->active_seconds : 0);
    report_count("published", run->published);
    report_count("publish_answers", run->publish_answers);
    report_count("publish_errors", run->publish_errors);
    report_usage(used, "delivery", run->deliveries);
    report_traffic(run->before, run->after, "delivery", run->deliveries);
    report_ends(&run->client);
    report_end();
}

static bool allocate(struct fanout *run)
{
    const struct options *options = run->options;
    run->event_prefix = dialect_event(options->dialect, options->event);
    run->members = calloc(options->connections, sizeof *run->members);
    run->first = calloc(options->broadcasts, sizeof *run->first);
    run->half = calloc(options->broadcasts, sizeof *run->half);
    run->last = calloc(options->broadcasts, sizeof *run->last);
    if (!run->event_prefix || !run->members || !run->first || !run->half || !run->last) {
        perror("load");
        return false;
    }
    run->event_length = strlen(run->event_prefix);
    return true;
}

int run_fanout(const struct options *options)
{
    static struct fanout run;
    run.options = options;
    if (!options->join || !options->dialect->init(&run.join, options->join) || !options->publish ||
        !options->dialect->init(&run.publish, options->publish)) {
        fprintf(stderr, "load: --join and --publish need a JSON object each, without an id\n");
        return 2;
    }
    struct callbacks callbacks = {.opened = on_opened, .message = on_message, .ended = on_ended};
    if (!prepare(&run.client, options, options->connections + 1, callbacks, &run) ||
        !allocate(&run) || !dialect_begin(options->dialect, &run.client))
        return 1;

    int64_t begun = clock_now();
    bool going = join_all(&run);
    double opening = milliseconds(begun, clock_now()) / 1e3;
    if (options->verbose)
        fprintf(stderr, "load: %u of %u joined in %.2f s\n", run.joined, options->connections,
                opening);
    going = going && serve_until(&run, clock_now() + SETTLE_WAIT);
    struct connection *publisher = &run.client.connections[options->connections];
    run.before = run.client.received;
    struct usage before = usage_now(options->watched, options->watched_count);
    for (uint32_t i = 0; going && i < options->broadcasts; i++)
        going = run.joined && publisher->state == STATE_OPEN && play_round(&run, publisher);
    struct usage after = usage_now(options->watched, options->watched_count);
    run.after = run.client.received;
    if (going)
        await_answers(&run);
    report(&run, opening, usage_between(before, after));

    run.client.callbacks = (struct callbacks){0};
    client_close_all(&run.client, SECOND);
    client_free(&run.client);
    dialect_end(options->dialect);
    request_free(&run.join);
    request_free(&run.publish);
    free(run.event_prefix);
    free(run.members);
    free(run.first);
    free(run.half);
    free(run.last);
    return going ? 0 : 1;
}
