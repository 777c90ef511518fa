/* A load generator for a WebSocket server of JSON messages: the command line.
 * README.md tells what each subcommand measures. */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: load requests --port P --path PATH --connections N [--outstanding W] [--seconds S]\n"
    "            [--warmup S] [--payload BYTES] [--type TYPE] [--rate R]\n"
    "       load fanout   --port P --path PATH --members N [--broadcasts B] [--interval-ms I]\n"
    "            --join JSON --publish JSON [--burst K] [--publishes M] [--event TYPE]\n"
    "            [--round-timeout S]\n"
    "       load stream   --port P --path PATH --members N --rate R [--seconds S] [--payload BYTES]\n"
    "            --join JSON [--type TYPE] [--event TYPE]\n"
    "       load rooms    --port P --path PATH --connections N --rooms R [--room-members M]\n"
    "            [--publishers K] [--seconds S] [--warmup S]\n"
    "       load churn    --port P --path PATH --connections N --rooms R --tokens FILE\n"
    "            [--seconds S] [--warmup S]\n"
    "       load idle     --port P --path PATH --connections N [--hold] [--hold-seconds S]\n"
    "       load storm    --port P --path PATH --connections N [--concurrency C]\n"
    "all:   [--host ADDRESS] [--source ADDRESS] [--header 'Name: value']... [--watch PID]...\n"
    "       [--tokens FILE] [--deflate] [--deadline S] [-v]\n"
    "requests, fanout: [--dialect linkd|msgpack|resumable|socketio|centrifugo]\n";

static _Noreturn void refuse(const char *what, const char *value)
{
    fprintf(stderr, "load: %s%s%s\n%s", what, value ? ": " : "", value ? value : "", usage);
    exit(2);
}

static double number(const char *name, const char *text, double least, double most)
{
    char *rest;
    errno = 0;
    double value = strtod(text, &rest);
    /* The comparison is also false for a NaN. */
    if (errno || rest == text || *rest || !(value >= least && value <= most))
        refuse(name, text);
    return value;
}

static uint32_t whole(const char *name, const char *text, double least, double most)
{
    double value = number(name, text, least, most);
    if (value != (uint32_t)value)
        refuse(name, text);
    return value;
}

enum long_option {
    HOST = 256,
    PORT,
    PATH,
    SOURCE,
    HEADER,
    WATCH,
    TOKENS,
    DEFLATE,
    DEADLINE,
    DIALECT,
    CONNECTIONS,
    OUTSTANDING,
    SECONDS,
    WARMUP,
    PAYLOAD,
    TYPE,
    RATE,
    BROADCASTS,
    BURST,
    PUBLISHES,
    INTERVAL,
    ROUND_TIMEOUT,
    JOIN,
    PUBLISH,
    EVENT,
    HOLD,
    HOLD_SECONDS,
    CONCURRENCY,
    ROOMS,
    ROOM_MEMBERS,
    PUBLISHERS,
};

static const struct option long_options[] = {
    {"host", required_argument, NULL, HOST},
    {"port", required_argument, NULL, PORT},
    {"path", required_argument, NULL, PATH},
    {"source", required_argument, NULL, SOURCE},
    {"header", required_argument, NULL, HEADER},
    {"watch", required_argument, NULL, WATCH},
    {"tokens", required_argument, NULL, TOKENS},
    {"deflate", no_argument, NULL, DEFLATE},
    {"deadline", required_argument, NULL, DEADLINE},
    {"dialect", required_argument, NULL, DIALECT},
    {"verbose", no_argument, NULL, 'v'},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"members", required_argument, NULL, CONNECTIONS},
    {"outstanding", required_argument, NULL, OUTSTANDING},
    {"seconds", required_argument, NULL, SECONDS},
    {"warmup", required_argument, NULL, WARMUP},
    {"payload", required_argument, NULL, PAYLOAD},
    {"type", required_argument, NULL, TYPE},
    {"rate", required_argument, NULL, RATE},
    {"broadcasts", required_argument, NULL, BROADCASTS},
    {"burst", required_argument, NULL, BURST},
    {"publishes", required_argument, NULL, PUBLISHES},
    {"interval-ms", required_argument, NULL, INTERVAL},
    {"round-timeout", required_argument, NULL, ROUND_TIMEOUT},
    {"join", required_argument, NULL, JOIN},
    {"publish", required_argument, NULL, PUBLISH},
    {"event", required_argument, NULL, EVENT},
    {"hold", no_argument, NULL, HOLD},
    {"hold-seconds", required_argument, NULL, HOLD_SECONDS},
    {"concurrency", required_argument, NULL, CONCURRENCY},
    {"rooms", required_argument, NULL, ROOMS},
    {"room-members", required_argument, NULL, ROOM_MEMBERS},
    {"publishers", required_argument, NULL, PUBLISHERS},
    {NULL, 0, NULL, 0},
};

static void add_header(struct options *options, const char *header)
{
    if (options->target.header_count == HEADERS_MAX)
        refuse("too many headers", header);
    options->headers[options->target.header_count++] = header;
}

static void set(struct options *options, int option, const char *value)
{
    switch (option) {
    case HOST: options->target.host = value; break;
    case PORT: options->target.port = whole("--port", value, 1, 65535); break;
    case PATH: options->target.path = value; break;
    case SOURCE: options->target.source = value; break;
    case HEADER: add_header(options, value); break;
    case WATCH:
        if (options->watched_count == WATCHED_MAX)
            refuse("too many processes to watch", value);
        options->watched[options->watched_count++] = whole("--watch", value, 1, 1 << 22);
        break;
    case TOKENS: options->target.tokens = value; break;
    case DEFLATE: options->target.deflate = true; break;
    case DEADLINE: options->deadline = number("--deadline", value, 0.1, 86400); break;
    case DIALECT:
        options->dialect = dialect_named(value);
        if (!options->dialect)
            refuse("--dialect", value);
        break;
    case 'v': options->verbose = true; break;
    case CONNECTIONS: options->connections = whole("--connections", value, 1, 1e6); break;
    case OUTSTANDING: options->outstanding = whole("--outstanding", value, 1, 65535); break;
    case SECONDS: options->seconds = number("--seconds", value, 0.01, 86400); break;
    case WARMUP: options->warmup = number("--warmup", value, 0, 86400); break;
    case PAYLOAD: options->payload = whole("--payload", value, 0, 32 << 20); break;
    case TYPE: options->type = value; break;
    case RATE: options->rate = number("--rate", value, 0.1, 1e7); break;
    case BROADCASTS: options->broadcasts = whole("--broadcasts", value, 1, 1e6); break;
    case BURST: options->burst = whole("--burst", value, 1, 1e6); break;
    case PUBLISHES: options->publishes = whole("--publishes", value, 1, 1e6); break;
    case INTERVAL: options->interval_ms = number("--interval-ms", value, 0, 1e6); break;
    case ROUND_TIMEOUT: options->round_timeout = number("--round-timeout", value, 0.1, 3600); break;
    case JOIN: options->join = value; break;
    case PUBLISH: options->publish = value; break;
    case EVENT: options->event = value; break;
    case HOLD: options->hold = true; break;
    case HOLD_SECONDS: options->hold_seconds = number("--hold-seconds", value, 0, 86400); break;
    case CONCURRENCY: options->concurrency = whole("--concurrency", value, 1, 1e5); break;
    case ROOMS: options->rooms = whole("--rooms", value, 1, 1e6); break;
    case ROOM_MEMBERS: options->room_members = whole("--room-members", value, 1, 1e6); break;
    case PUBLISHERS: options->publishers = whole("--publishers", value, 1, 1e5); break;
    default: refuse("unknown or incomplete option", NULL);
    }
}

bool prepare(struct client *client, const struct options *options, uint32_t count,
             struct callbacks callbacks, void *scenario)
{
    if (!client_init(client, &options->target, count)) {
        client_free(client);
        return false;
    }
    client->callbacks = callbacks;
    client->scenario = scenario;
    client->verbose = options->verbose;
    client->deadline = clock_now() + options->deadline * SECOND;
    return true;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct options *options);
        bool dialects; /* knows other than ours */
    } scenarios[] = {
        {"requests", run_requests, true},
        {"fanout", run_fanout, true},
        {"stream", run_stream, false},
        {"rooms", run_rooms, false},
        {"churn", run_churn, false},
        {"idle", run_idle, false},
        {"storm", run_storm, false},
    };
    struct options options = {
        .target = {.host = "127.0.0.1", .path = "/"},
        .deadline = 120,
        .dialect = &dialect_linkd,
        .outstanding = 1,
        .seconds = 5,
        .warmup = 1,
        .payload = 64,
        .type = "bench.echo",
        .broadcasts = 20,
        .burst = 1,
        .interval_ms = 100,
        .round_timeout = 30,
        .event = "bench.event",
        .hold_seconds = 3600,
        .concurrency = 64,
        .room_members = 10,
        .publishers = 16,
    };
    if (argc < 2)
        refuse("a subcommand is needed", NULL);
    int option;
    while ((option = getopt_long(argc - 1, argv + 1, "v", long_options, NULL)) != -1)
        set(&options, option, optarg);
    if (optind < argc - 1)
        refuse("unexpected argument", argv[1 + optind]);
    if (!options.target.port || !options.connections)
        refuse("--port and --connections (or --members) are needed", NULL);
    options.target.headers = options.headers;

    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(argv[1], scenarios[i].name) != 0)
            continue;
        if (options.dialect != &dialect_linkd && !scenarios[i].dialects)
            refuse("--dialect is of requests and fanout only", NULL);
        if (options.dialect->header)
            add_header(&options, options.dialect->header);
        return scenarios[i].run(&options);
    }
    refuse("unknown subcommand", argv[1]);
}
