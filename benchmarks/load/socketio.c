/* Socket.IO 5 on Engine.IO 4, the WebSocket transport from the start, the main
 * namespace:
 *
 *   0{…}   the server opens the session, 40 from us joins the namespace,
 *   40{…}  and only then the connection counts as open
 *   2      the server's ping, 3 our pong
 *   42ID["type",data]   a request, 43ID[answer] its answer
 *   42["type",data]     an event
 *   44{…}               the namespace refuses us
 *
 * An answer has no way to say that it is an error but its data; here that is
 * {"error":…}. */
#include "dialect.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT "40"
#define EVENT "42"
#define ACK "43"
#define REFUSED "44"
#define PING "2"
#define PONG "3"
#define OPEN "0{"
#define ERROR "{\"error\":"
#define ID_ROOM 22 /* the packet's type and the digits of any 64-bit number */

static bool starts_with(const uint8_t *text, size_t length, const char *prefix)
{
    size_t size = strlen(prefix); /* a constant: prefixes are literals */
    return length >= size && memcmp(text, prefix, size) == 0;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* --- requests --------------------------------------------------------- */

/* {"type":"T"} and {"type":"T","data":D} become ["T"] and ["T",D], with room for
 * the id before. */
static bool init(struct request *request, const char *object)
{
    struct parts parts;
    if (!request_parts(object, &parts))
        return false;
    size_t size = ID_ROOM + strlen(object) + sizeof "[\"\",]";
    request->memory = malloc(size);
    if (!request->memory)
        return false;
    request->fixed = snprintf(request->memory + ID_ROOM, size - ID_ROOM, "[\"%.*s\"%s%.*s]",
                              parts.type_length, parts.type, parts.data ? "," : "",
                              parts.data_length, parts.data ? parts.data : "");
    return true;
}

/* The id stands in front of what stays, so it is written backwards. */
static size_t number(struct request *request, uint64_t id)
{
    char *at = request->memory + ID_ROOM;
    do
        *--at = '0' + id % 10;
    while (id /= 10);
    at -= sizeof EVENT - 1;
    memcpy(at, EVENT, sizeof EVENT - 1);
    request->text = at;
    return request->memory + ID_ROOM + request->fixed - at;
}

/* --- answers ---------------------------------------------------------- */

static enum kind kind(const uint8_t *text, size_t length)
{
    if (starts_with(text, length, REFUSED))
        return MESSAGE_ERROR;
    if (!starts_with(text, length, ACK))
        return MESSAGE_EVENT;
    size_t at = sizeof ACK - 1;
    while (at < length && is_digit(text[at]))
        at++;
    return starts_with(text + at, length - at, "[" ERROR) ? MESSAGE_ERROR : MESSAGE_RESPONSE;
}

static bool id_of(const uint8_t *text, size_t length, uint64_t *id)
{
    size_t at = sizeof ACK - 1;
    if (length <= at || !is_digit(text[at]))
        return false;
    uint64_t value = 0;
    for (; at < length && is_digit(text[at]); at++)
        value = value * 10 + (text[at] - '0');
    *id = value;
    return true;
}

static int event(char *prefix, size_t size, const char *type)
{
    return snprintf(prefix, size, EVENT "[\"%s\"", type);
}

/* --- the session ------------------------------------------------------ */

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    if (length == 1 && *text == *PING) {
        client_send(connection, OPCODE_TEXT, PONG, 1);
    } else if (session_is_open(connection)) {
        session_pass(client, connection, text, length);
    } else if (starts_with(text, length, OPEN)) {
        client_send(connection, OPCODE_TEXT, CONNECT, sizeof CONNECT - 1);
    } else if (starts_with(text, length, CONNECT)) {
        session_opened(client, connection);
    } else if (starts_with(text, length, REFUSED)) {
        client_close(client, connection);
    }
}

static bool begin(struct client *client)
{
    return session_begin(client, NULL, on_message); /* the server speaks first */
}

const struct dialect dialect_socketio = {
    .name = "socketio",
    .opcode = OPCODE_TEXT,
    .init = init,
    .number = number,
    .kind = kind,
    .id = id_of,
    .event = event,
    .begin = begin,
    .end = session_end,
};
