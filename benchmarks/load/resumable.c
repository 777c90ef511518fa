/* Linkd's dialect for clients that can resume: what comes is counted, and acknowledged. */
#include "dialect.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL "{\"type\":\"linkd."
#define ACK_AFTER 64 /* messages: what the gateway asks for by default */
#define ACK_MAX 128

struct counts {
    uint64_t received;
    uint64_t acks; /* which are no messages themselves */
};

static struct counts *counts; /* by connection */

static void acknowledge(struct connection *connection, struct counts *own)
{
    char ack[ACK_MAX];
    int length = snprintf(ack, sizeof ack,
                          "{\"type\":\"linkd.ack\",\"data\":{\"received\":%llu,\"sent\":%llu}}",
                          (unsigned long long)own->received,
                          (unsigned long long)(connection->sent - own->acks));
    own->acks++;
    client_send(connection, OPCODE_TEXT, ack, (size_t)length);
}

static void on_message(struct client *client, struct connection *connection, const uint8_t *text,
                       size_t length)
{
    struct counts *own = &counts[connection->index];
    if (length >= sizeof CONTROL - 1 && memcmp(text, CONTROL, sizeof CONTROL - 1) == 0) {
        if (!session_is_open(connection)) {
            *own = (struct counts){0}; /* the welcome */
            session_opened(client, connection);
        }
        return;
    }
    if (++own->received % ACK_AFTER == 0)
        acknowledge(connection, own);
    session_pass(client, connection, text, length);
}

static bool begin(struct client *client)
{
    counts = calloc(client->count, sizeof *counts);
    return counts && session_begin(client, NULL, on_message);
}

static void end(void)
{
    session_end();
    free(counts);
    counts = NULL;
}

static int event(char *prefix, size_t size, const char *type)
{
    return snprintf(prefix, size, "{\"type\":\"%s\"", type);
}

const struct dialect dialect_resumable = {
    .name = "resumable",
    .opcode = OPCODE_TEXT,
    .header = "Sec-WebSocket-Protocol: linkd.v1+json, linkd.resume",
    .init = request_init,
    .number = request_number,
    .kind = message_kind,
    .id = message_id,
    .event = event,
    .begin = begin,
    .end = end,
};
