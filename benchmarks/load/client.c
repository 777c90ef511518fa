#define _GNU_SOURCE /* memmem, epoll_pwait2 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HANDSHAKES_AT_ONCE 256
#define EVENTS_AT_ONCE 256
#define READ_SIZE ((size_t)128 << 10)
#define ANSWER_LIMIT ((size_t)16 << 10)
#define DESCRIPTORS_SPARE 16
/* Of a compressed message only its start is inflated: kind, id and type stand
 * there, and all of it would take from the server what CPU there is. */
#define INFLATED 256

/* The key and answer of RFC 6455's own example: a fixed key spares the
 * generator a SHA-1 while the server still has to compute it. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

int64_t clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* --- setting up ------------------------------------------------------- */

static bool raise_descriptors(uint32_t needed)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max >= (rlim_t)needed + DESCRIPTORS_SPARE)
        return true;
    fprintf(stderr, "load: %u connections need more than the %llu file descriptors allowed\n",
            needed, (unsigned long long)limit.rlim_max);
    return false;
}

static bool parse_address(const char *text, int port, struct sockaddr_in *address)
{
    address->sin_family = AF_INET;
    address->sin_port = htons(port);
    if (inet_pton(AF_INET, text, &address->sin_addr) == 1)
        return true;
    fprintf(stderr, "load: not an IPv4 address: %s\n", text);
    return false;
}

static void append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

static void write_handshake(struct buffer *request, const struct target *target, const char *token)
{
    char host[64];
    snprintf(host, sizeof host, "%.40s:%d", target->host, target->port);
    append_text(request, "GET ");
    append_text(request, target->path);
    if (token) {
        append_text(request, strchr(target->path, '?') ? "&token=" : "?token=");
        append_text(request, token);
    }
    append_text(request, " HTTP/1.1\r\nHost: ");
    append_text(request, host);
    append_text(request, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n");
    for (size_t i = 0; i < target->header_count; i++) {
        append_text(request, target->headers[i]);
        append_text(request, "\r\n");
    }
    if (target->deflate)
        append_text(request, "Sec-WebSocket-Extensions: permessage-deflate; "
                             "server_no_context_takeover; client_no_context_takeover\r\n");
    append_text(request, "\r\n");
}

static bool read_tokens(struct client *client, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return false;
    }
    size_t got;
    do {
        buffer_reserve(&client->tokens, READ_SIZE);
        got = fread(client->tokens.bytes + client->tokens.length, 1, READ_SIZE, file);
        client->tokens.length += got;
    } while (got);
    fclose(file);
    buffer_append(&client->tokens, "", 1);
    client->token = calloc(client->tokens.length, sizeof *client->token);
    if (!client->token) {
        perror("load");
        return false;
    }
    char *rest = NULL;
    for (char *line = strtok_r((char *)client->tokens.bytes, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        client->token[client->token_count++] = line;
    if (!client->token_count)
        fprintf(stderr, "load: no token in %s\n", path);
    return client->token_count;
}

bool client_init(struct client *client, const struct target *target, uint32_t count)
{
    *client =
        (struct client){.epoll = -1, .count = count, .deadline = FOREVER, .target = target};
    if (!raise_descriptors(count) ||
        !parse_address(target->host, target->port, &client->server) ||
        (target->source && !parse_address(target->source, 0, &client->source)) ||
        (target->tokens && !read_tokens(client, target->tokens)))
        return false;
    signal(SIGPIPE, SIG_IGN);
    /* The default slack of 50 µs would show in the paced latencies. */
    prctl(PR_SET_TIMERSLACK, 1);
    write_handshake(&client->handshake, target, NULL);
    if (target->deflate && inflateInit2(&client->inflater, -MAX_WBITS) != Z_OK) {
        fprintf(stderr, "load: zlib: %s\n", client->inflater.msg);
        return false;
    }

    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    client->connections = calloc(count, sizeof *client->connections);
    if (client->epoll < 0 || !client->connections) {
        perror("load");
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        client->connections[i].fd = -1;
        client->connections[i].index = i;
        /* Constant, but no byte of it is zero: every byte is really masked. */
        client->connections[i].mask = (i * 2654435761u) | 0x11214181u;
    }
    client->now = clock_now();
    return true;
}

void client_free(struct client *client)
{
    for (uint32_t i = 0; client->connections && i < client->count; i++) {
        struct connection *connection = &client->connections[i];
        if (connection->fd >= 0)
            close(connection->fd);
        buffer_free(&connection->held);
        buffer_free(&connection->written);
    }
    free(client->connections);
    client->connections = NULL;
    buffer_free(&client->handshake);
    buffer_free(&client->input);
    inflateEnd(&client->inflater); /* an error, of no interest, where it was not begun */
    buffer_free(&client->tokens);
    free(client->token);
    if (client->epoll >= 0)
        close(client->epoll);
}

/* --- opening ---------------------------------------------------------- */

static void watch(struct client *client, struct connection *connection, int operation,
                  uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(client->epoll, operation, connection->fd, &event) < 0) {
        perror("load: epoll_ctl");
        exit(1);
    }
}

static void end(struct client *client, struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    connection->state = STATE_ENDED;
    connection->held.length = 0;
    connection->written.length = 0;
    if (client->callbacks.ended)
        client->callbacks.ended(client, connection);
}

/* `status` is that of the HTTP answer, 0 when there was none. */
static void fail(struct client *client, struct connection *connection, int status, int error)
{
    if (client->verbose)
        fprintf(stderr, "load: connection %u failed: %s %d\n", connection->index,
                status ? "status" : strerror(error), status);
    client->handshaking--;
    client->failed++;
    if (status)
        client->refused[status]++;
    else
        client->broken++;
    end(client, connection);
}

void client_open(struct client *client, struct connection *connection)
{
    client->handshaking++;
    connection->state = STATE_CONNECTING;
    connection->wants_write = false;
    connection->close_seen = false;
    connection->started = clock_now();
    connection->token = client->tokens_used++;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        perror("load: socket");
        exit(1);
    }
    int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (client->source.sin_family) {
        /* Without this the port would be chosen at bind, before the peer is
         * known, and run out sooner. */
        setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(connection->fd, (struct sockaddr *)&client->source, sizeof client->source) < 0) {
            fail(client, connection, 0, errno);
            return;
        }
    }
    if (connect(connection->fd, (struct sockaddr *)&client->server, sizeof client->server) < 0 &&
        errno != EINPROGRESS) {
        fail(client, connection, 0, errno);
        return;
    }
    watch(client, connection, EPOLL_CTL_ADD, EPOLLOUT);
}

static void send_handshake(struct client *client, struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    struct buffer *handshake = &client->handshake;
    if (client->token_count) {
        handshake->length = 0;
        write_handshake(handshake, client->target,
                        client->token[connection->token % client->token_count]);
    }
    /* A new socket has room for a whole handshake: no need to keep a rest. */
    size_t length = handshake->length;
    if (!error && send(connection->fd, handshake->bytes, length, 0) != (ssize_t)length)
        error = errno;
    if (error) {
        fail(client, connection, 0, error);
        return;
    }
    connection->state = STATE_HANDSHAKE;
    watch(client, connection, EPOLL_CTL_MOD, EPOLLIN);
}

/* The value of the first header of this name, which ends with a colon; NULL when there is none. */
static const char *header_value(const char *headers, const char *name)
{
    for (const char *line = strstr(headers, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, strlen(name)) != 0)
            continue;
        line += strlen(name);
        return line + strspn(line, " \t");
    }
    return NULL;
}

static bool accepts_key(const char *headers)
{
    const char *value = header_value(headers, "sec-websocket-accept:");
    return value && strncmp(value, ACCEPT "\r\n", sizeof ACCEPT + 1) == 0;
}

/* A server that keeps its window from message to message was not offered: one
 * inflater serves all connections. */
static bool accepts_deflate(const char *headers)
{
    const char *value = header_value(headers, "sec-websocket-extensions:");
    const char *end = value ? strstr(value, "\r\n") : NULL;
    const char *kept = value ? strstr(value, "server_no_context_takeover") : NULL;
    return kept && kept < end;
}

/* Returns how many bytes the answer took, 0 when it isn't whole or was refused. */
static size_t read_answer(struct client *client, struct connection *connection, uint8_t *bytes,
                          size_t available)
{
    uint8_t *blank = memmem(bytes, available, "\r\n\r\n", 4);
    if (!blank) {
        if (available > ANSWER_LIMIT)
            fail(client, connection, 0, EMSGSIZE);
        return 0;
    }
    size_t length = blank + 4 - bytes;
    int status = 0;
    char headers[ANSWER_LIMIT + 1];
    if (length <= ANSWER_LIMIT) {
        memcpy(headers, bytes, length);
        headers[length] = 0;
        if (sscanf(headers, "HTTP/1.1 %3d", &status) != 1 || status < 0)
            status = 0;
    }
    if (status != 101 || !accepts_key(headers) ||
        (client->target->deflate && !accepts_deflate(headers))) {
        fail(client, connection, status, EPROTO);
        return 0;
    }
    connection->state = STATE_OPEN;
    client->handshaking--;
    client->live++;
    client->opened++;
    if (client->callbacks.opened)
        client->callbacks.opened(client, connection);
    return length;
}

bool client_ramp(struct client *client)
{
    while (client->started < client->count && client->handshaking < HANDSHAKES_AT_ONCE)
        client_open(client, &client->connections[client->started++]);
    return client->started == client->count && client->handshaking == 0;
}

void client_open_all(struct client *client)
{
    while (!client_ramp(client))
        if (!client_poll(client, FOREVER))
            return;
}

/* --- ending ----------------------------------------------------------- */

/* The connection was open and is over. `code` is that of the peer's close frame. */
static void closed(struct client *client, struct connection *connection, unsigned code)
{
    client->live--;
    if (connection->state == STATE_OPEN) {
        client->unexpected_closes++;
        client->close_codes[code < CLOSE_CODE_MAX ? code : 0]++;
        if (client->verbose)
            fprintf(stderr, "load: connection %u closed by the server: %u\n", connection->index,
                    code);
    } else if (!connection->close_seen) {
        client->unclean_closes++;
    }
    end(client, connection);
}

static void lost(struct client *client, struct connection *connection, int error)
{
    if (connection->state <= STATE_HANDSHAKE)
        fail(client, connection, 0, error);
    else
        closed(client, connection, CLOSE_ABNORMAL);
}

void client_close(struct client *client, struct connection *connection)
{
    if (connection->state != STATE_OPEN)
        return;
    static const uint8_t code[2] = {CLOSE_NORMAL >> 8, CLOSE_NORMAL & 0xff};
    client_send(connection, OPCODE_CLOSE, code, sizeof code);
    connection->state = STATE_CLOSING;
    client_flush(client, connection);
}

void client_close_all(struct client *client, int64_t patience)
{
    for (uint32_t i = 0; i < client->count; i++)
        client_close(client, &client->connections[i]);
    int64_t until = clock_now() + patience;
    while (client->live && clock_now() < until)
        if (!client_poll(client, until))
            return;
}

/* --- frames ----------------------------------------------------------- */

void client_send(struct connection *connection, enum opcode opcode, const void *payload,
                 size_t length)
{
    connection->sent += opcode < OPCODE_CLOSE;
    frame_append(&connection->written, opcode, payload, length, connection->mask);
}

static void want_write(struct client *client, struct connection *connection, bool wanted)
{
    if (connection->wants_write == wanted)
        return;
    connection->wants_write = wanted;
    watch(client, connection, EPOLL_CTL_MOD, EPOLLIN | (wanted ? EPOLLOUT : 0));
}

void client_flush(struct client *client, struct connection *connection)
{
    struct buffer *written = &connection->written;
    if (!written->length || connection->fd < 0)
        return;
    ssize_t sent = send(connection->fd, written->bytes, written->length, MSG_NOSIGNAL);
    if (sent > 0)
        buffer_consume(written, sent);
    else if (sent < 0 && errno != EAGAIN)
        written->length = 0; /* the read side tells what happened */
    want_write(client, connection, written->length > 0);
}

/* Inflates the start of a message into `start` and returns its length, 0 when it isn't deflated. */
static size_t inflate_start(struct client *client, const struct frame *frame, uint8_t *start)
{
    z_stream *inflater = &client->inflater;
    inflateReset(inflater);
    inflater->next_in = frame->payload;
    inflater->avail_in = frame->length;
    inflater->next_out = start;
    inflater->avail_out = INFLATED;
    int result = inflate(inflater, Z_SYNC_FLUSH);
    return result == Z_OK || result == Z_STREAM_END ? INFLATED - inflater->avail_out : 0;
}

static void handle_message(struct client *client, struct connection *connection,
                           const struct frame *frame)
{
    const uint8_t *text = frame->payload;
    size_t length = frame->length;
    uint8_t start[INFLATED];
    client->received.messages++;
    client->received.bytes += frame->size;
    if (frame->compressed) {
        client->received.compressed++;
        text = start;
        length = inflate_start(client, frame, start);
        client->protocol_errors += !length;
    }
    if (client->callbacks.message)
        client->callbacks.message(client, connection, text, length);
}

/* One frame of an open connection; the connection may be over afterwards. */
static void handle_frame(struct client *client, struct connection *connection,
                         const struct frame *frame)
{
    switch (frame->opcode) {
    case OPCODE_PING:
        client->pings++;
        client_send(connection, OPCODE_PONG, frame->payload, frame->length);
        return;
    case OPCODE_PONG:
        return;
    case OPCODE_CLOSE: {
        unsigned code = 1005; /* none was given */
        if (frame->length >= 2)
            code = frame->payload[0] << 8 | frame->payload[1];
        connection->close_seen = true;
        if (connection->state == STATE_OPEN) {
            client_send(connection, OPCODE_CLOSE, frame->payload, frame->length >= 2 ? 2 : 0);
            client_flush(client, connection);
            closed(client, connection, code);
        }
        return; /* when closing: the server closes the TCP connection */
    }
    default:
        if (connection->state == STATE_OPEN)
            handle_message(client, connection, frame);
    }
}

/* Messages are not put together from fragments: the servers measured send each
 * in one frame, and a fragment counted as a message would be a wrong figure. */
static bool allowed(const struct client *client, const struct frame *frame)
{
    if (frame->masked || !frame->final)
        return false;
    if (frame->compressed && (!client->target->deflate || frame->opcode > OPCODE_BINARY))
        return false;
    switch (frame->opcode) {
    case OPCODE_TEXT:
    case OPCODE_BINARY:
    case OPCODE_CLOSE:
    case OPCODE_PING:
    case OPCODE_PONG:
        return true;
    default:
        return false;
    }
}

/* Handles the whole frames and returns how many bytes they took. */
static size_t handle_frames(struct client *client, struct connection *connection, uint8_t *bytes,
                            size_t available)
{
    size_t at = 0;
    while (connection->state == STATE_OPEN || connection->state == STATE_CLOSING) {
        struct frame frame;
        enum parsed parsed = frame_parse(bytes + at, available - at, &frame);
        if (parsed == FRAME_PARTIAL)
            break;
        if (parsed == FRAME_REFUSED || !allowed(client, &frame)) {
            client->protocol_errors++;
            closed(client, connection, 1002);
            break;
        }
        handle_frame(client, connection, &frame);
        at += frame.size;
    }
    return at;
}

static void readable(struct client *client, struct connection *connection)
{
    struct buffer *held = &connection->held;
    struct buffer *input = &client->input;
    buffer_reserve(input, held->length + READ_SIZE);
    if (held->length)
        memcpy(input->bytes, held->bytes, held->length);
    ssize_t got = recv(connection->fd, input->bytes + held->length,
                       input->capacity - held->length, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            lost(client, connection, got ? errno : ECONNRESET);
        return;
    }
    client->now = clock_now();
    size_t available = held->length + got;
    held->length = 0;
    size_t at = 0;
    if (connection->state == STATE_HANDSHAKE)
        at = read_answer(client, connection, input->bytes, available);
    if (connection->state == STATE_OPEN || connection->state == STATE_CLOSING)
        at += handle_frames(client, connection, input->bytes + at, available - at);
    if (connection->state == STATE_ENDED)
        return;
    buffer_append(held, input->bytes + at, available - at);
    client_flush(client, connection);
}

/* --- the loop --------------------------------------------------------- */

static void handle_event(struct client *client, struct connection *connection, uint32_t events)
{
    if (connection->fd < 0)
        return; /* ended by a callback of another connection in this batch */
    if (connection->state == STATE_CONNECTING) {
        send_handshake(client, connection);
        return;
    }
    if (events & EPOLLOUT)
        client_flush(client, connection);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        readable(client, connection);
}

static int wait_events(struct client *client, struct epoll_event *events, int64_t wait)
{
    static bool coarse; /* a kernel without epoll_pwait2: milliseconds */
    if (!coarse) {
        struct timespec timeout = {.tv_sec = wait / SECOND, .tv_nsec = wait % SECOND};
        int count = epoll_pwait2(client->epoll, events, EVENTS_AT_ONCE, &timeout, NULL);
        if (count >= 0 || errno != ENOSYS)
            return count;
        coarse = true;
    }
    return epoll_wait(client->epoll, events, EVENTS_AT_ONCE,
                      (wait + MILLISECOND - 1) / MILLISECOND);
}

bool client_poll(struct client *client, int64_t until)
{
    int64_t now = clock_now();
    if (now >= client->deadline) {
        client->timed_out = true;
        return false;
    }
    if (until > client->deadline)
        until = client->deadline;
    int64_t wait = until > now ? until - now : 0;
    if (wait > 3600 * SECOND)
        wait = 3600 * SECOND;

    struct epoll_event events[EVENTS_AT_ONCE];
    int count = wait_events(client, events, wait);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection) {
            handle_event(client, connection, events[i].events);
            continue;
        }
        char ignored[4096];
        if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) {
            epoll_ctl(client->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
            client->input_ended = true;
        }
    }
    return true;
}

void client_watch_input(struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    /* epoll refuses a file and /dev/null: nothing more will come from those. */
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        client->input_ended = true;
}
