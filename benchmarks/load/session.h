/* A session that opens inside a WebSocket: until it has, the connection goes on
 * counting as a handshake, and the scenario hears nothing of it. */
#ifndef SESSION_H
#define SESSION_H

#include "client.h"

/* Puts the session between the client and the scenario's callbacks. `greet` is called
 * when the WebSocket is open, and may be NULL; `message` gets all that comes. */
bool session_begin(struct client *client,
                   void (*greet)(struct client *client, struct connection *connection),
                   void (*message)(struct client *client, struct connection *connection,
                                   const uint8_t *text, size_t length));
void session_end(void);

void session_opened(struct client *client, struct connection *connection);
bool session_is_open(const struct connection *connection);
/* Gives a message to the scenario. */
void session_pass(struct client *client, struct connection *connection, const uint8_t *text,
                  size_t length);

#endif
