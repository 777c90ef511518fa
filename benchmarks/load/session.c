#include "session.h"

#include <stdio.h>
#include <stdlib.h>

enum session { NO_SESSION, OPENING, JOINED };

static struct callbacks scenario; /* what ours stand before */
static enum session *sessions;    /* by connection */
static void (*greeting)(struct client *client, struct connection *connection);

static void on_opened(struct client *client, struct connection *connection)
{
    sessions[connection->index] = OPENING;
    client->handshaking++;
    if (greeting)
        greeting(client, connection);
}

static void on_ended(struct client *client, struct connection *connection)
{
    if (sessions[connection->index] == OPENING)
        client->handshaking--;
    sessions[connection->index] = NO_SESSION;
    if (scenario.ended)
        scenario.ended(client, connection);
}

bool session_begin(struct client *client,
                   void (*greet)(struct client *client, struct connection *connection),
                   void (*message)(struct client *client, struct connection *connection,
                                   const uint8_t *text, size_t length))
{
    sessions = calloc(client->count, sizeof *sessions);
    if (!sessions) {
        perror("load");
        return false;
    }
    greeting = greet;
    scenario = client->callbacks;
    client->callbacks =
        (struct callbacks){.opened = on_opened, .message = message, .ended = on_ended};
    return true;
}

void session_end(void)
{
    free(sessions);
    sessions = NULL;
}

void session_opened(struct client *client, struct connection *connection)
{
    sessions[connection->index] = JOINED;
    client->handshaking--;
    if (scenario.opened)
        scenario.opened(client, connection);
}

bool session_is_open(const struct connection *connection)
{
    return sessions[connection->index] == JOINED;
}

void session_pass(struct client *client, struct connection *connection, const uint8_t *text,
                  size_t length)
{
    if (scenario.message)
        scenario.message(client, connection, text, length);
}
