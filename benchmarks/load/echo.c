/* The limit peer: about the least work a WebSocket server on one epoll thread
 * can do, so that the load generator's figures against it are the machine's and
 * the generator's own limit. It trusts its client and is not a server to use.
 *
 *   any message         {"type":"response","id":<its id>,"data":null}
 *   of type "publish"   that, and {"type":"bench.event","data":{}}, or the text of
 *                       the command line, to all others
 *
 * Prints {"listening":PORT} when ready, and its CPU time once standard input
 * ends. */
#define _GNU_SOURCE /* memmem, accept4 */
#include "frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256
#define READ_SIZE ((size_t)128 << 10)
#define REQUEST_LIMIT ((size_t)16 << 10)
#define PUBLISH "{\"type\":\"publish\""

struct peer {
    int fd; /* peers are found by their descriptor; 0 or -1 when the place is free */
    bool open;
    bool closing; /* what is written goes out, then the connection ends */
    bool wants_write;
    struct buffer held;
    struct buffer written;
};

struct server {
    int epoll;
    int listener;
    struct peer *peers;
    int peer_limit;
    int peer_end; /* above the highest descriptor in use so far */
    struct buffer input;
    struct buffer event;  /* one frame */
    struct buffer events; /* as many as were published in one read */
    uint64_t handshakes, requests, publishes, deliveries;
};

/* --- the handshake ---------------------------------------------------- */

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

/* SHA-1 of a text that, padded, fits in two blocks: a key and the GUID do. */
static void sha1(const char *text, size_t length, uint8_t digest[20])
{
    uint8_t blocks[128] = {0};
    memcpy(blocks, text, length);
    blocks[length] = 0x80;
    size_t size = length + 9 > 64 ? 128 : 64;
    for (int i = 0; i < 4; i++)
        blocks[size - 1 - i] = (uint32_t)(length * 8) >> (8 * i);

    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t block = 0; block < size; block += 64) {
        uint32_t words[80];
        for (int i = 0; i < 16; i++) {
            const uint8_t *at = blocks + block + 4 * i;
            words[i] = (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
        }
        for (int i = 16; i < 80; i++)
            words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
        uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
        for (int i = 0; i < 80; i++) {
            uint32_t mixed, constant;
            if (i < 20)
                mixed = (b & c) | (~b & d), constant = 0x5a827999;
            else if (i < 40)
                mixed = b ^ c ^ d, constant = 0x6ed9eba1;
            else if (i < 60)
                mixed = (b & c) | (b & d) | (c & d), constant = 0x8f1bbcdc;
            else
                mixed = b ^ c ^ d, constant = 0xca62c1d6;
            uint32_t next = rotate(a, 5) + mixed + e + constant + words[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d, hash[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = hash[i / 4] >> (24 - 8 * (i % 4));
}

/* 20 bytes to 28 characters. */
static void base64(const uint8_t digest[20], char text[29])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = text;
    for (int i = 0; i < 21; i += 3) {
        uint32_t bits = digest[i] << 16 | digest[i + 1] << 8 | (i + 2 < 20 ? digest[i + 2] : 0);
        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = alphabet[bits >> shift & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

/* Finds the key in the request's headers; false when there is none. */
static bool find_key(const char *headers, char key[25])
{
    static const char name[] = "\r\nSec-WebSocket-Key:";
    const char *at = strcasestr(headers, name);
    return at && sscanf(at + sizeof name - 1, " %24[^ \r\n]", key) == 1;
}

/* Returns how many bytes the request took, 0 when it isn't whole, -1 when it
 * isn't one. */
static ssize_t read_handshake(struct server *server, struct peer *peer, const uint8_t *bytes,
                              size_t available)
{
    const uint8_t *blank = memmem(bytes, available, "\r\n\r\n", 4);
    if (!blank)
        return available < REQUEST_LIMIT ? 0 : -1;
    size_t length = blank + 4 - bytes;
    if (length > REQUEST_LIMIT)
        return -1;
    char headers[REQUEST_LIMIT + 1];
    memcpy(headers, bytes, length);
    headers[length] = 0;
    char key[25];
    if (!find_key(headers, key))
        return -1;

    char joined[80];
    int size = snprintf(joined, sizeof joined, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    uint8_t digest[20];
    sha1(joined, size, digest);
    char accept[29];
    base64(digest, accept);
    char answer[256];
    size = snprintf(answer, sizeof answer,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                    accept);
    buffer_append(&peer->written, answer, size);
    peer->open = true;
    server->handshakes++;
    return length;
}

/* --- peers ------------------------------------------------------------ */

static void watch(struct server *server, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(server->epoll, operation, fd, &event) < 0) {
        perror("echo: epoll_ctl");
        exit(1);
    }
}

static void end(struct peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
    peer->open = peer->closing = peer->wants_write = false;
    peer->held.length = peer->written.length = 0;
}

static void flush(struct server *server, struct peer *peer)
{
    struct buffer *written = &peer->written;
    if (written->length) {
        ssize_t sent = send(peer->fd, written->bytes, written->length, MSG_NOSIGNAL);
        if (sent > 0) {
            buffer_consume(written, sent);
        } else if (sent < 0 && errno != EAGAIN) {
            end(peer);
            return;
        }
    }
    bool wanted = written->length > 0;
    if (!wanted && peer->closing) {
        end(peer);
        return;
    }
    if (wanted != peer->wants_write) {
        peer->wants_write = wanted;
        watch(server, EPOLL_CTL_MOD, peer->fd, EPOLLIN | (wanted ? EPOLLOUT : 0));
    }
}

static void accept_all(struct server *server)
{
    for (;;) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= server->peer_limit) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        server->peers[fd].fd = fd;
        if (fd >= server->peer_end)
            server->peer_end = fd + 1;
        watch(server, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

/* Sends to all but `from` what it published in one read: one send each. */
static void broadcast(struct server *server, const struct peer *from, uint32_t count)
{
    server->events.length = 0;
    for (uint32_t i = 0; i < count; i++)
        buffer_append(&server->events, server->event.bytes, server->event.length);
    for (int fd = 0; fd < server->peer_end; fd++) {
        struct peer *peer = &server->peers[fd];
        if (!peer->open || peer->closing || peer == from)
            continue;
        server->deliveries += count;
        ssize_t sent = 0;
        if (!peer->written.length) { /* nothing waits: no need to copy */
            sent = send(fd, server->events.bytes, server->events.length, MSG_NOSIGNAL);
            if (sent < 0)
                sent = 0; /* a real error shows when reading */
        }
        buffer_append(&peer->written, server->events.bytes + sent, server->events.length - sent);
        if (peer->written.length)
            flush(server, peer);
    }
}

static void answer(struct peer *peer, const uint8_t *text, size_t length)
{
    /* The id is the last member: its digits end right before the brace. */
    size_t end = length;
    while (end && (text[end - 1] < '0' || text[end - 1] > '9'))
        end--;
    size_t start = end;
    while (start && text[start - 1] >= '0' && text[start - 1] <= '9')
        start--;
    static const char head[] = "{\"type\":\"response\",\"id\":";
    static const char tail[] = ",\"data\":null}";
    uint8_t response[64 + sizeof head + sizeof tail];
    size_t digits = end - start;
    if (digits > 20)
        return;
    memcpy(response, head, sizeof head - 1);
    memcpy(response + sizeof head - 1, text + start, digits);
    memcpy(response + sizeof head - 1 + digits, tail, sizeof tail - 1);
    frame_append(&peer->written, OPCODE_TEXT, response,
                 sizeof head - 1 + digits + sizeof tail - 1, 0);
}

/* Handles the whole frames and returns how many bytes they took; -1 when the
 * peer is not to be talked to any more. */
static ssize_t handle_frames(struct server *server, struct peer *peer, uint8_t *bytes,
                             size_t available)
{
    size_t at = 0;
    uint32_t published = 0;
    while (!peer->closing) {
        struct frame frame;
        enum parsed parsed = frame_parse(bytes + at, available - at, &frame);
        if (parsed == FRAME_PARTIAL)
            break;
        if (parsed == FRAME_REFUSED || !frame.masked || !frame.final || frame.compressed)
            return -1;
        at += frame.size;
        switch (frame.opcode) {
        case OPCODE_TEXT:
            server->requests++;
            if (frame.length >= sizeof PUBLISH - 1 &&
                memcmp(frame.payload, PUBLISH, sizeof PUBLISH - 1) == 0)
                published++;
            answer(peer, frame.payload, frame.length);
            break;
        case OPCODE_PING:
            frame_append(&peer->written, OPCODE_PONG, frame.payload, frame.length, 0);
            break;
        case OPCODE_CLOSE:
            frame_append(&peer->written, OPCODE_CLOSE, frame.payload, frame.length >= 2 ? 2 : 0,
                         0);
            peer->closing = true;
            break;
        }
    }
    if (published) {
        server->publishes += published;
        broadcast(server, peer, published);
    }
    return at;
}

static void readable(struct server *server, struct peer *peer)
{
    struct buffer *held = &peer->held;
    struct buffer *input = &server->input;
    buffer_reserve(input, held->length + READ_SIZE);
    if (held->length)
        memcpy(input->bytes, held->bytes, held->length);
    ssize_t got =
        recv(peer->fd, input->bytes + held->length, input->capacity - held->length, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            end(peer);
        return;
    }
    size_t available = held->length + got;
    held->length = 0;
    ssize_t taken = 0;
    if (!peer->open)
        taken = read_handshake(server, peer, input->bytes, available);
    size_t at = taken > 0 ? taken : 0;
    if (taken >= 0 && peer->open) {
        taken = handle_frames(server, peer, input->bytes + at, available - at);
        at += taken > 0 ? taken : 0;
    }
    if (taken < 0) {
        end(peer);
        return;
    }
    buffer_append(held, input->bytes + at, available - at);
    flush(server, peer);
}

/* --- the process ------------------------------------------------------ */

static double seconds_of(struct timeval time)
{
    return time.tv_sec + time.tv_usec / 1e6;
}

static void report(const struct server *server)
{
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    printf("{\"handshakes\":%llu,\"requests\":%llu,\"publishes\":%llu,\"deliveries\":%llu,"
           "\"cpu_user_seconds\":%.3f,\"cpu_system_seconds\":%.3f}\n",
           (unsigned long long)server->handshakes, (unsigned long long)server->requests,
           (unsigned long long)server->publishes, (unsigned long long)server->deliveries,
           seconds_of(own.ru_utime), seconds_of(own.ru_stime));
}

static bool start(struct server *server, int port, const char *event)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    server->peer_limit = limit.rlim_max < 1000000 ? limit.rlim_max : 1000000;
    server->peers = calloc(server->peer_limit, sizeof *server->peers);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    if (!server->peers || server->epoll < 0 || server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(server->listener, 4096) < 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &size) < 0) {
        perror("echo");
        return false;
    }
    watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN);
    frame_append(&server->event, OPCODE_TEXT, event, strlen(event), 0);
    printf("{\"listening\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return true;
}

/* false once standard input has ended. */
static bool read_input(struct server *server)
{
    char ignored[256];
    if (read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        return true;
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    return false;
}

int main(int argc, char **argv)
{
    static struct server server;
    signal(SIGPIPE, SIG_IGN);
    const char *event = argc > 2 ? argv[2] : "{\"type\":\"bench.event\",\"data\":{}}";
    if (argc > 3 || !start(&server, argc > 1 ? atoi(argv[1]) : 0, event)) {
        fprintf(stderr, "usage: echo [PORT [EVENT]] (0 or none: a free one)\n");
        return 2;
    }
    /* Refused for a file or /dev/null: the server then runs until it is killed. */
    struct epoll_event input = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    epoll_ctl(server.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input);

    for (bool running = true; running;) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int count = epoll_wait(server.epoll, events, EVENTS_AT_ONCE, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            struct peer *peer = &server.peers[fd];
            if (fd == server.listener) {
                accept_all(&server);
            } else if (fd == STDIN_FILENO) {
                running = read_input(&server);
            } else if (peer->fd == fd) {
                if (events[i].events & EPOLLOUT)
                    flush(&server, peer);
                if (peer->fd == fd && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
                    readable(&server, peer);
            }
        }
    }
    report(&server);
    for (int fd = 0; fd < server.peer_end; fd++) {
        if (server.peers[fd].open)
            close(fd);
        buffer_free(&server.peers[fd].held);
        buffer_free(&server.peers[fd].written);
    }
    buffer_free(&server.input);
    buffer_free(&server.event);
    buffer_free(&server.events);
    free(server.peers);
    return 0;
}
