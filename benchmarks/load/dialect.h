/* How requests, answers and events are written: the JSON envelope of message.h,
 * the same as MessagePack, or what Socket.IO and Centrifugo make of it. */
#ifndef DIALECT_H
#define DIALECT_H

#include "client.h"
#include "message.h"

struct dialect {
    const char *name;
    enum opcode opcode; /* of its messages */
    const char *header; /* of the opening handshake, or NULL */
    /* See message.h. */
    bool (*init)(struct request *request, const char *object);
    size_t (*number)(struct request *request, uint64_t id);
    enum kind (*kind)(const uint8_t *text, size_t length);
    bool (*id)(const uint8_t *text, size_t length, uint64_t *id);
    /* Writes with what every event of the type begins, as snprintf does; no byte of it is 0. */
    int (*event)(char *prefix, size_t size, const char *type);
    /* Puts what the dialect does with an open connection between the client and
     * the scenario's callbacks, which have to be set; NULL when that is nothing. */
    bool (*begin)(struct client *client);
    void (*end)(void);
};

extern const struct dialect dialect_linkd;
extern const struct dialect dialect_msgpack;
extern const struct dialect dialect_resumable;
extern const struct dialect dialect_socketio;
extern const struct dialect dialect_centrifugo;

/* NULL when there is none of the name. */
const struct dialect *dialect_named(const char *name);
bool dialect_begin(const struct dialect *dialect, struct client *client);
void dialect_end(const struct dialect *dialect);
/* With what every event of the type begins, to be freed; NULL when there is no memory. */
char *dialect_event(const struct dialect *dialect, const char *type);

#endif
