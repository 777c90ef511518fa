/* The envelope of message.h as MessagePack in binary frames. The gateway writes
 * the type first and the id second here too:
 *
 *   83 "type" "response" "id" N "data" …   an answer
 *   83 "type" "error" "id" N "error" …     an error, 82 and no id when it answers nothing
 *   82 "type" T "data" …                   an event
 *
 * A request's id is its last member, in eight bytes whatever its value. */
#include "dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "\xa4type"
#define ID "\xa2id"
#define RESPONSE "\x83" TYPE "\xa8response"
#define ERROR "\x83" TYPE "\xa5" "error"
#define LONE_ERROR "\x82" TYPE "\xa5" "error"

#define MAP 0x80
#define STRING 0xa0
#define STRING_8 0xd9
#define STRING_16 0xda
#define UNSIGNED_8 0xcc
#define UNSIGNED_32 0xce
#define UNSIGNED_64 0xcf
#define MEMBERS_MAX 14 /* of a map with a one-byte head, with room for the id */
#define DEPTH_MAX 8

static void append_number(struct buffer *packed, uint8_t head, uint64_t value, int wide)
{
    uint8_t bytes[9] = {head};
    for (int i = 0; i < wide; i++)
        bytes[1 + i] = value >> (8 * (wide - 1 - i));
    buffer_append(packed, bytes, 1 + wide);
}

/* --- requests --------------------------------------------------------- */

static bool skip(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    ++*at;
    return true;
}

static bool pack_string(struct buffer *packed, const char **at)
{
    if (!skip(at, '"'))
        return false;
    size_t length = strcspn(*at, "\"\\");
    if ((*at)[length] != '"' || length > 0xffff)
        return false; /* an escape, no end, or longer than any request here */
    if (length < 32)
        append_number(packed, STRING | length, 0, 0);
    else if (length < 256)
        append_number(packed, STRING_8, length, 1);
    else
        append_number(packed, STRING_16, length, 2);
    buffer_append(packed, *at, length);
    *at += length + 1;
    return true;
}

/* Objects, strings without escapes and whole numbers, without spaces: what the
 * scenarios' requests are made of. */
static bool pack_value(struct buffer *packed, const char **at, int depth)
{
    if (**at == '"')
        return pack_string(packed, at);
    if (**at >= '0' && **at <= '9') {
        append_number(packed, UNSIGNED_32, strtoul(*at, (char **)at, 10), 4);
        return true;
    }
    if (depth == DEPTH_MAX || !skip(at, '{'))
        return false;
    size_t head = packed->length;
    uint8_t members = 0;
    append_number(packed, MAP, 0, 0);
    if (!skip(at, '}')) {
        do {
            if (members++ == MEMBERS_MAX || !pack_string(packed, at) || !skip(at, ':') ||
                !pack_value(packed, at, depth + 1))
                return false;
        } while (skip(at, ','));
        if (!skip(at, '}'))
            return false;
    }
    packed->bytes[head] = MAP | members;
    return true;
}

static bool init(struct request *request, const char *object)
{
    struct buffer packed = {0};
    const char *at = object;
    if (*object != '{' || !pack_value(&packed, &at, 0) || *at) {
        buffer_free(&packed);
        return false;
    }
    packed.bytes[0]++;
    buffer_append(&packed, ID, sizeof ID - 1);
    request->fixed = packed.length;
    append_number(&packed, UNSIGNED_64, 0, 8);
    request->memory = request->text = (char *)packed.bytes;
    return true;
}

static size_t number(struct request *request, uint64_t id)
{
    struct buffer packed = {(uint8_t *)request->text, request->fixed, request->fixed + 9};
    append_number(&packed, UNSIGNED_64, id, 8);
    return packed.length;
}

/* --- answers ---------------------------------------------------------- */

static bool starts_with(const uint8_t *text, size_t length, const char *prefix, size_t size)
{
    return length >= size && memcmp(text, prefix, size) == 0;
}

static enum kind kind(const uint8_t *text, size_t length)
{
    if (starts_with(text, length, RESPONSE, sizeof RESPONSE - 1))
        return MESSAGE_RESPONSE;
    if (starts_with(text, length, ERROR, sizeof ERROR - 1) ||
        starts_with(text, length, LONE_ERROR, sizeof LONE_ERROR - 1))
        return MESSAGE_ERROR;
    return MESSAGE_EVENT;
}

static bool id_of(const uint8_t *text, size_t length, uint64_t *id)
{
    size_t at = sizeof ERROR - 1;
    if (starts_with(text, length, RESPONSE, sizeof RESPONSE - 1))
        at = sizeof RESPONSE - 1;
    else if (!starts_with(text, length, ERROR, sizeof ERROR - 1))
        return false;
    if (!starts_with(text + at, length - at, ID, sizeof ID - 1))
        return false;
    at += sizeof ID - 1;
    if (at == length)
        return false;
    uint8_t head = text[at++];
    *id = head;
    if (head < 0x80)
        return true;
    if (head < UNSIGNED_8 || head > UNSIGNED_64)
        return false;
    size_t wide = (size_t)1 << (head - UNSIGNED_8);
    if (length - at < wide)
        return false;
    for (*id = 0; wide; wide--)
        *id = *id << 8 | text[at++];
    return true;
}

/* Types are shorter than 32 characters here, and the head of such a string tells its length. */
static int event(char *prefix, size_t size, const char *type)
{
    return snprintf(prefix, size, "\x82" TYPE "%c%s", (int)(STRING | strlen(type)), type);
}

const struct dialect dialect_msgpack = {
    .name = "msgpack",
    .opcode = OPCODE_BINARY,
    .header = "Sec-WebSocket-Protocol: linkd.v1+msgpack",
    .init = init,
    .number = number,
    .kind = kind,
    .id = id_of,
    .event = event,
};
