/* WebSocket client connections on one epoll: opening them at a bounded pace,
 * reading messages, writing frames, closing. A scenario gives the callbacks and
 * drives the loop. */
#ifndef CLIENT_H
#define CLIENT_H

#include "frame.h"

#include <netinet/in.h>
#include <zlib.h>

#define MILLISECOND ((int64_t)1000000)
#define SECOND ((int64_t)1000000000)
#define FOREVER INT64_MAX

#define STATUS_MAX 1000
#define CLOSE_CODE_MAX 5000
#define CLOSE_NORMAL 1000
#define CLOSE_ABNORMAL 1006 /* the connection ended without a close frame */

int64_t clock_now(void); /* monotonic nanoseconds */

enum state {
    STATE_UNUSED,
    STATE_CONNECTING,
    STATE_HANDSHAKE, /* the request is sent */
    STATE_OPEN,
    STATE_CLOSING, /* our close frame is sent */
    STATE_ENDED,
};

struct connection {
    int fd;
    enum state state;
    uint32_t index;
    uint32_t mask;
    bool wants_write; /* epoll watches for room to write */
    bool close_seen;  /* the peer's close frame was read */
    int64_t started;  /* when connect was called */
    size_t token;     /* which it signs in with */
    uint64_t sent;    /* messages that client_send was given, control frames aside */
    struct buffer held;    /* the start of a frame that isn't whole yet */
    struct buffer written; /* frames that are not sent yet */
};

/* Messages in their frames, headers included. */
struct traffic {
    uint64_t messages;
    uint64_t compressed;
    uint64_t bytes;
};

struct client;

struct callbacks {
    /* Any of them may be NULL. */
    void (*opened)(struct client *client, struct connection *connection);
    void (*message)(struct client *client, struct connection *connection,
                    const uint8_t *text, size_t length);
    /* Open or not, the connection is gone; not called twice. */
    void (*ended)(struct client *client, struct connection *connection);
};

struct client {
    int epoll;
    struct sockaddr_in server;
    struct sockaddr_in source; /* port 0; family 0 leaves the choice to the kernel */
    struct buffer handshake;
    struct connection *connections;
    uint32_t count;
    struct callbacks callbacks;
    void *scenario;
    bool verbose;

    int64_t now; /* read once per recv: every message in it arrived then */
    int64_t deadline;
    bool timed_out;
    bool input_ended; /* see client_watch_input */

    uint32_t started;     /* connections that client_ramp began */
    uint32_t handshaking; /* neither open nor failed yet */
    uint32_t live;        /* open or closing */
    uint64_t opened;
    uint64_t failed;
    uint64_t broken; /* failed without any HTTP answer */
    uint64_t unexpected_closes;
    uint64_t unclean_closes; /* ours, but the peer sent no close frame back */
    uint64_t protocol_errors;
    uint64_t pings;
    struct traffic received;
    uint64_t refused[STATUS_MAX];
    uint64_t close_codes[CLOSE_CODE_MAX];

    const struct target *target;
    struct buffer tokens; /* the file's text, each line ended by a NUL */
    const char **token;   /* the lines */
    size_t token_count;
    size_t tokens_used; /* also those used again */

    struct buffer input; /* what recv fills, shared by all connections */
    z_stream inflater;   /* shared too: no message needs those before it */
};

struct target {
    const char *host;
    int port;
    const char *path;
    const char *source; /* address to bind, or NULL */
    const char *tokens; /* file with one a line; the connections take them in turn, or NULL */
    const char *const *headers;
    size_t header_count;
    bool deflate; /* offer permessage-deflate; a handshake without it fails */
};

/* false, with a line on stderr, when an address isn't one or there are not
 * enough file descriptors. */
bool client_init(struct client *client, const struct target *target, uint32_t count);
void client_free(struct client *client);

void client_open(struct client *client, struct connection *connection);
/* Begins connections in order, never more than a bounded number of handshakes
 * at once; call it again until it returns true: all have opened or failed. */
bool client_ramp(struct client *client);
/* Ramps all of them, serving the opened ones meanwhile. */
void client_open_all(struct client *client);

/* Waits for events until `until` at the latest and handles them. false once the
 * deadline has passed. */
bool client_poll(struct client *client, int64_t until);
/* Sets input_ended when standard input reaches its end. */
void client_watch_input(struct client *client);

/* Adds a frame to what the connection sends; sent by client_flush, or by itself
 * after the callback that added it. */
void client_send(struct connection *connection, enum opcode opcode, const void *payload,
                 size_t length);
void client_flush(struct client *client, struct connection *connection);
/* Begins the closing handshake; the peer closes the TCP connection. */
void client_close(struct client *client, struct connection *connection);
/* Closes all that are open and waits for their ends. */
void client_close_all(struct client *client, int64_t patience);

#endif
