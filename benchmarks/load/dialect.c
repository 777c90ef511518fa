#include "dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_HEAD_MAX 16 /* what stands around the type, in any dialect */

static int event(char *prefix, size_t size, const char *type)
{
    return snprintf(prefix, size, "{\"type\":\"%s\"", type);
}

const struct dialect dialect_linkd = {
    .name = "linkd",
    .opcode = OPCODE_TEXT,
    .init = request_init,
    .number = request_number,
    .kind = message_kind,
    .id = message_id,
    .event = event,
};

const struct dialect *dialect_named(const char *name)
{
    static const struct dialect *const all[] = {&dialect_linkd, &dialect_msgpack,
                                                &dialect_resumable, &dialect_socketio,
                                                &dialect_centrifugo};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

bool dialect_begin(const struct dialect *dialect, struct client *client)
{
    return !dialect->begin || dialect->begin(client);
}

void dialect_end(const struct dialect *dialect)
{
    if (dialect->end)
        dialect->end();
}

char *dialect_event(const struct dialect *dialect, const char *type)
{
    size_t size = strlen(type) + EVENT_HEAD_MAX;
    char *prefix = malloc(size);
    if (prefix)
        dialect->event(prefix, size, type);
    return prefix;
}
