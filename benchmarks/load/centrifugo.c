/* Centrifugo's JSON protocol over WebSockets:
 *
 *   {"connect":{},"id":N}   from us first; only when it is answered the connection
 *                           counts as open
 *   {"rpc":{"method":"type","data":data},"id":N}   a request, and its answer
 *                           {"id":N,"rpc":{…}} or {"id":N,"error":{…}}
 *   {"push":{"channel":"crowd","pub":{"data":event}}}   an event, written as ours;
 *                           other pushes are of no interest
 *   {}                      the server's ping, and our pong
 *
 * One frame may hold several of them, a newline between each two. */
#include "dialect.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT "{\"connect\":{},\"id\":1}"
#define CONNECTED "{\"id\":1,\"connect\":"
#define PING "{}"
#define ID "{\"id\":"
#define ERROR ",\"error\":"
#define PUBLICATION "{\"push\":{\"channel\":\"crowd\",\"pub\":{\"data\":"

static bool starts_with(const uint8_t *text, size_t length, const char *prefix)
{
    size_t size = strlen(prefix); /* a constant: prefixes are literals */
    return length >= size && memcmp(text, prefix, size) == 0;
}

/* --- requests and answers --------------------------------------------- */

static bool init(struct request *request, const char *object)
{
    struct parts parts;
    if (!request_parts(object, &parts))
        return false;
    size_t size = strlen(object) + sizeof "{\"rpc\":{\"method\":,\"data\":}}";
    char *command = malloc(size);
    if (!command)
        return false;
    snprintf(command, size, "{\"rpc\":{\"method\":\"%.*s\"%s%.*s}}", parts.type_length, parts.type,
             parts.data ? ",\"data\":" : "", parts.data_length, parts.data ? parts.data : "");
    bool written = request_init(request, command);
    free(command);
    return written;
}

static enum kind kind(const uint8_t *text, size_t length)
{
    if (!starts_with(text, length, ID))
        return MESSAGE_EVENT;
    size_t at = sizeof ID - 1;
    while (at < length && text[at] >= '0' && text[at] <= '9')
        at++;
    return starts_with(text + at, length - at, ERROR) ? MESSAGE_ERROR : MESSAGE_RESPONSE;
}

/* --- the session ------------------------------------------------------ */

static void greet(struct client *client, struct connection *connection)
{
    (void)client;
    client_send(connection, OPCODE_TEXT, CONNECT, sizeof CONNECT - 1);
}

static void on_line(struct client *client, struct connection *connection, const uint8_t *text,
                    size_t length)
{
    if (length == sizeof PING - 1)
        client_send(connection, OPCODE_TEXT, PING, length);
    else if (session_is_open(connection))
        session_pass(client, connection, text, length);
    else if (starts_with(text, length, CONNECTED))
        session_opened(client, connection);
    else
        client_close(client, connection); /* refused */
}

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    const uint8_t *end = text + length;
    while (text < end && connection->state == STATE_OPEN) {
        const uint8_t *newline = memchr(text, '\n', end - text);
        const uint8_t *stop = newline ? newline : end;
        if (stop > text)
            on_line(client, connection, text, stop - text);
        text = stop + 1;
    }
}

static bool begin(struct client *client)
{
    return session_begin(client, greet, on_message);
}

static int event(char *prefix, size_t size, const char *type)
{
    return snprintf(prefix, size, PUBLICATION "{\"type\":\"%s\"", type);
}

const struct dialect dialect_centrifugo = {
    .name = "centrifugo",
    .opcode = OPCODE_TEXT,
    .init = init,
    .number = request_number,
    .kind = kind,
    .id = message_id,
    .event = event,
    .begin = begin,
    .end = session_end,
};
