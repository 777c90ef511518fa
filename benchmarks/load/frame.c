#include "frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 14

void buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t needed = buffer->length + extra;
    if (needed <= buffer->capacity)
        return;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < needed)
        capacity *= 2;
    uint8_t *bytes = realloc(buffer->bytes, capacity);
    if (!bytes) {
        perror("realloc");
        exit(1);
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (!size)
        return;
    buffer_reserve(buffer, size);
    memcpy(buffer->bytes + buffer->length, bytes, size);
    buffer->length += size;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    buffer->length -= size;
    if (buffer->length)
        memmove(buffer->bytes, buffer->bytes + size, buffer->length);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

/* The mask is kept as the four bytes in memory order, so that the same value
 * doubled serves eight bytes at a time whatever the byte order is. `target`
 * may be `source`. */
static void mask_bytes(uint8_t *target, const uint8_t *source, size_t size, uint32_t mask)
{
    uint64_t wide = (uint64_t)mask << 32 | mask;
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t word;
        memcpy(&word, source + at, 8);
        word ^= wide;
        memcpy(target + at, &word, 8);
    }
    uint8_t key[4];
    memcpy(key, &mask, 4);
    for (; at < size; at++)
        target[at] = source[at] ^ key[at & 3];
}

enum parsed frame_parse(uint8_t *bytes, size_t available, struct frame *frame)
{
    if (available < 2)
        return FRAME_PARTIAL;
    if (bytes[0] & 0x30) /* a reserved bit that no extension of ours uses */
        return FRAME_REFUSED;
    frame->compressed = bytes[0] & 0x40;
    frame->final = bytes[0] & 0x80;
    frame->opcode = bytes[0] & 0x0f;
    frame->masked = bytes[1] & 0x80;

    uint64_t length = bytes[1] & 0x7f;
    size_t header = 2;
    if (length >= 126) {
        size_t wide = length == 126 ? 2 : 8;
        if (available < header + wide)
            return FRAME_PARTIAL;
        length = 0;
        for (size_t i = 0; i < wide; i++)
            length = length << 8 | bytes[header + i];
        header += wide;
    }
    if (length > FRAME_LIMIT)
        return FRAME_REFUSED;
    size_t key = header;
    header += frame->masked ? 4 : 0;
    if (available < header + length)
        return FRAME_PARTIAL;

    frame->payload = bytes + header;
    frame->length = length;
    frame->size = header + length;
    if (frame->masked) {
        uint32_t mask;
        memcpy(&mask, bytes + key, 4);
        mask_bytes(frame->payload, frame->payload, length, mask);
    }
    return FRAME_WHOLE;
}

void frame_append(struct buffer *buffer, enum opcode opcode, const void *payload,
                  size_t length, uint32_t mask)
{
    buffer_reserve(buffer, HEADER_MAX + length);
    uint8_t *start = buffer->bytes + buffer->length;
    uint8_t *at = start;
    uint8_t masked = mask ? 0x80 : 0;
    *at++ = 0x80 | opcode;
    if (length < 126) {
        *at++ = masked | length;
    } else {
        int wide = length <= 0xffff ? 2 : 8;
        *at++ = masked | (wide == 2 ? 126 : 127);
        for (int i = wide - 1; i >= 0; i--)
            *at++ = (uint64_t)length >> (8 * i);
    }
    if (mask) {
        memcpy(at, &mask, 4);
        at += 4;
        mask_bytes(at, payload, length, mask);
    } else if (length) {
        memcpy(at, payload, length);
    }
    buffer->length += at + length - start;
}
