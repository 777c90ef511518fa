/* The JSON envelope, read and written without a JSON parser: the server always
 * writes the type first and the id second, so a prefix decides. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind { MESSAGE_RESPONSE, MESSAGE_ERROR, MESSAGE_EVENT };

enum kind message_kind(const uint8_t *text, size_t length);
/* The number after the first "id":, false when there is none. */
bool message_id(const uint8_t *text, size_t length, uint64_t *id);

/* A request whose text stays the same but for its id, which comes last. */
struct request {
    char *memory;
    char *text;   /* what was numbered last, in the memory */
    size_t fixed; /* length up to the id's digits */
};

/* `object` is a JSON object without an id; false when it isn't an object. */
bool request_init(struct request *request, const char *object);
/* Writes the id and returns the length of the whole text. */
size_t request_number(struct request *request, uint64_t id);
void request_free(struct request *request);

/* What an object consists of that is {"type":"T"} or {"type":"T","data":D}, in this
 * order and without spaces around. */
struct parts {
    const char *type, *data; /* in the object; data is NULL when there is none */
    int type_length, data_length;
};

bool request_parts(const char *object, struct parts *parts);

#endif
