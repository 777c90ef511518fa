#define _GNU_SOURCE /* memmem */
#include "message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESPONSE "{\"type\":\"response\""
#define ERROR "{\"type\":\"error\""
#define ID "\"id\":"
#define TYPE_HEAD "{\"type\":\""
#define DATA "\",\"data\":"
#define NUMBER_MAX 24 /* the digits of any 64-bit number, a brace, a NUL */

static bool starts_with(const uint8_t *text, size_t length, const char *prefix, size_t size)
{
    return length >= size && memcmp(text, prefix, size) == 0;
}

enum kind message_kind(const uint8_t *text, size_t length)
{
    if (starts_with(text, length, RESPONSE, sizeof RESPONSE - 1))
        return MESSAGE_RESPONSE;
    if (starts_with(text, length, ERROR, sizeof ERROR - 1))
        return MESSAGE_ERROR;
    return MESSAGE_EVENT;
}

bool message_id(const uint8_t *text, size_t length, uint64_t *id)
{
    const uint8_t *end = text + length;
    const uint8_t *at = memmem(text, length, ID, sizeof ID - 1);
    if (!at)
        return false;
    at += sizeof ID - 1;
    if (at == end || *at < '0' || *at > '9')
        return false;
    uint64_t number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    *id = number;
    return true;
}

bool request_init(struct request *request, const char *object)
{
    size_t length = strlen(object);
    while (length && strchr(" \t\r\n", object[length - 1]))
        length--;
    if (length < 3 || object[0] != '{' || object[length - 1] != '}')
        return false;
    size_t fixed = length - 1 + sizeof("," ID) - 1;
    request->memory = request->text = malloc(fixed + NUMBER_MAX);
    if (!request->text)
        return false;
    memcpy(request->text, object, length - 1);
    memcpy(request->text + length - 1, "," ID, sizeof("," ID));
    request->fixed = fixed;
    return true;
}

size_t request_number(struct request *request, uint64_t id)
{
    char digits[NUMBER_MAX];
    int count = 0;
    do
        digits[count++] = '0' + id % 10;
    while (id /= 10);
    char *at = request->text + request->fixed;
    while (count)
        *at++ = digits[--count];
    *at++ = '}';
    return at - request->text;
}

void request_free(struct request *request)
{
    free(request->memory);
    request->memory = request->text = NULL;
}

bool request_parts(const char *object, struct parts *parts)
{
    size_t length = strlen(object);
    size_t head = sizeof TYPE_HEAD - 1;
    if (length < head + 2 || strncmp(object, TYPE_HEAD, head) != 0 || object[length - 1] != '}')
        return false;
    const char *type = object + head;
    const char *type_end = strchr(type, '"');
    if (!type_end)
        return false;
    const char *data = NULL;
    if (strncmp(type_end, DATA, sizeof DATA - 1) == 0)
        data = type_end + sizeof DATA - 1;
    else if (strcmp(type_end, "\"}") != 0)
        return false;
    *parts = (struct parts){
        .type = type,
        .data = data,
        .type_length = (int)(type_end - type),
        .data_length = data ? (int)(object + length - 1 - data) : 0,
    };
    return true;
}
