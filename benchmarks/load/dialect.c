#include "dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct dialect dialect_linkd = {
    .name = "linkd",
    .init = request_init,
    .number = request_number,
    .kind = message_kind,
    .id = message_id,
    .event_head = "{\"type\":\"",
};

const struct dialect *dialect_named(const char *name)
{
    static const struct dialect *const all[] = {&dialect_linkd, &dialect_socketio,
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
    size_t size = strlen(dialect->event_head) + strlen(type) + sizeof "\"";
    char *prefix = malloc(size);
    if (prefix)
        snprintf(prefix, size, "%s%s\"", dialect->event_head, type);
    return prefix;
}
