/* RFC 6455 frames and the growing byte buffers they are read from and
 * written to. Shared by the load generator and the echo server. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opcode {
    OPCODE_CONTINUATION = 0x0,
    OPCODE_TEXT = 0x1,
    OPCODE_BINARY = 0x2,
    OPCODE_CLOSE = 0x8,
    OPCODE_PING = 0x9,
    OPCODE_PONG = 0xA,
};

/* A peer that announces more than this is refused instead of being allowed to
 * make the generator allocate it. */
#define FRAME_LIMIT ((uint64_t)64 << 20)

struct buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

/* Makes room for `extra` bytes past the length; ends the process when there is
 * no memory, as a measurement that goes on without it would be worthless. */
void buffer_reserve(struct buffer *buffer, size_t extra);
void buffer_append(struct buffer *buffer, const void *bytes, size_t size);
/* Drops `size` bytes from the front. */
void buffer_consume(struct buffer *buffer, size_t size);
void buffer_free(struct buffer *buffer);

struct frame {
    uint8_t opcode;
    bool final;
    bool masked;
    bool compressed; /* RSV1; the payload is as it came */
    uint8_t *payload; /* unmasked, inside the parsed bytes */
    size_t length;    /* of the payload */
    size_t size;      /* of header and payload */
};

enum parsed { FRAME_REFUSED = -1, FRAME_PARTIAL = 0, FRAME_WHOLE = 1 };

/* Reads the frame at the start of `bytes` and unmasks it in place. */
enum parsed frame_parse(uint8_t *bytes, size_t available, struct frame *frame);

/* Appends a final frame; mask 0 leaves it unmasked, as a server sends it. */
void frame_append(struct buffer *buffer, enum opcode opcode, const void *payload,
                  size_t length, uint32_t mask);

#endif
