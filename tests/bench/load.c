/* A load generator for Socket.IO servers: many websocket clients in one thread around one epoll.
 *
 * It speaks Engine.IO 4 and Socket.IO 5, masks its frames, and checks what comes back, so that no
 * server is fast by answering something else. It is in C so that the client is not what is
 * measured: it says what share of its core it used. See `generator.py` for what it is called with
 * and what it prints: one JSON object when all clients are connected, one when it has measured.
 *
 * Of the server it expects: each client is in one room from its connection on; "bcast" with a text
 * is emitted to the room as "msg"; "echo" with a text is acknowledged with it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_OUTSTANDING = 64, MOST_PAYLOAD = 60000, CONNECTING = 64, CHUNK = 1 << 18 };
enum { PATIENCE_MS = 20000 };

typedef enum { HTTP, OPENING, CONNECTED, READY } Stage;

typedef struct {
    int fd;
    Stage stage;
    char *rest; /* the beginning of a frame whose end has not come */
    size_t rest_size;
    char *event; /* what a publisher broadcasts, and how it comes back */
    char *own;
    size_t own_size;
    unsigned long sent, answered; /* by themselves: acks, or own copies of broadcasts */
    uint64_t sent_at[MOST_OUTSTANDING];
} Client;

static enum { FANOUT, ECHO, IDLE } mode = ECHO;
static int port, clients = 1, payload = 64, outstanding = 1, publishers = 1;
static double seconds = 2, warm_up = 1;

static int loop;
static Client *all;
static char chunk[CHUNK + MOST_PAYLOAD + 128];
static char *body;      /* what echoes carry */
static int ready;       /* clients whose first echo has come back */
static int connected;   /* clients in the namespace */
static int firing;      /* whether an answer is followed by the next question */
static unsigned long delivered, answers, broadcasts;

static void die(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now(void) { /* nanoseconds */
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + at.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

/* Latencies, as counts: 32 steps in each power of two, so a figure is right to 3 %. */

static unsigned long latencies[64 * 32];

static void note_latency(uint64_t ns) {
    int power = 63 - __builtin_clzll(ns | 32);
    latencies[(power - 5) * 32 + ((ns >> (power - 5)) & 31)]++;
}

static double latency_ms(double quantile) {
    unsigned long total = 0, seen = 0;
    for (size_t i = 0; i < 64 * 32; i++) total += latencies[i];
    for (size_t i = 0; i < 64 * 32; i++) {
        seen += latencies[i];
        if (total && seen >= quantile * total)
            return (double)((uint64_t)(32 + i % 32) << (i / 32)) / 1e6;
    }
    return 0;
}

/* What goes out. */

static void send_all(Client *client, const char *bytes, size_t size) {
    while (size) {
        ssize_t taken = send(client->fd, bytes, size, MSG_NOSIGNAL);
        if (taken < 0) {
            struct pollfd writable = {client->fd, POLLOUT, 0};
            if (errno != EAGAIN || poll(&writable, 1, PATIENCE_MS) != 1)
                die("the server does not read: %s", strerror(errno));
            continue;
        }
        bytes += taken;
        size -= taken;
    }
}

/* Frames for one client, which go out together: what a client says within one turn is one write. */
static char waiting[CHUNK];
static size_t waiting_size;

static void flush(Client *client) {
    send_all(client, waiting, waiting_size);
    waiting_size = 0;
}

static void send_text(Client *client, const char *text, size_t size) {
    static uint32_t mask = 0x9e3779b9;
    if (waiting_size + size + 8 > sizeof waiting) flush(client);
    mask = mask * 1664525u + 1013904223u;
    char *frame = waiting + waiting_size;
    size_t head = 2;
    frame[0] = (char)0x81; /* a whole text message */
    if (size < 126) {
        frame[1] = (char)(0x80 | size);
    } else {
        frame[1] = (char)(0x80 | 126);
        frame[2] = (char)(size >> 8);
        frame[3] = (char)size;
        head = 4;
    }
    const char *key = memcpy(frame + head, &mask, 4);
    head += 4;
    for (size_t i = 0; i < size; i++) frame[head + i] = text[i] ^ key[i & 3];
    waiting_size += head + size;
}

static void ask(Client *client) {
    client->sent_at[client->sent % MOST_OUTSTANDING] = now();
    if (client->event) {
        send_text(client, client->event, strlen(client->event));
        broadcasts++;
    } else {
        static char text[MOST_PAYLOAD + 64];
        int size = sprintf(text, "42%lu[\"echo\",\"%s\"]", client->sent, body);
        send_text(client, text, size);
    }
    client->sent++;
}

/* What comes in. */

static void got_answer(Client *client) {
    note_latency(now() - client->sent_at[client->answered++ % MOST_OUTSTANDING]);
    answers++;
    if (firing) ask(client);
}

static void on_ack(Client *client, char *text, size_t size) {
    char *rest;
    unsigned long id = strtoul(text + 2, &rest, 10);
    if (id != client->answered || size != (size_t)(rest - text) + payload + 4 ||
        memcmp(rest, "[\"", 2) || memcmp(rest + 2, body, payload))
        die("expected the ack %lu with what was sent, saw %.80s", client->answered, text);
    if (client->stage == CONNECTED) { /* its hooks have run: it is in its room */
        client->stage = READY;
        client->answered++;
        ready++;
    } else {
        got_answer(client);
    }
}

static void on_event(Client *client, char *text, size_t size) {
    static const char head[] = "42[\"msg\",\"";
    if (size != sizeof head - 1 + payload + 2 || memcmp(text, head, sizeof head - 1))
        die("expected a broadcast of %d characters, saw %.80s", payload, text);
    delivered++;
    if (client->own && !memcmp(text, client->own, client->own_size)) got_answer(client);
}

static void on_text(Client *client, char *text, size_t size) {
    char kind = size > 1 && text[0] == '4' ? text[1] : 0;
    if (kind == '2') {
        on_event(client, text, size);
    } else if (kind == '3') {
        on_ack(client, text, size);
    } else if (text[0] == '2') {
        send_text(client, "3", 1);
    } else if (text[0] == '0' && client->stage == OPENING) {
        send_text(client, "40", 2);
    } else if (kind == '0' && client->stage == OPENING) {
        client->stage = CONNECTED;
        connected++;
    } else {
        die("unexpected packet: %.*s", (int)(size < 80 ? size : 80), text);
    }
}

/* Take one frame; return how many bytes it has, 0 when not all of it is there. */
static size_t take_frame(Client *client, unsigned char *bytes, size_t there) {
    size_t head = 2, size;
    if (there < 2) return 0;
    if ((size = bytes[1]) == 126) {
        head = 4;
        if (there < head) return 0;
        size = (size_t)bytes[2] << 8 | bytes[3];
    } else if (size > 126) {
        die("a frame longer than any that was asked for");
    }
    if (there < head + size) return 0;
    if (bytes[0] != 0x81) die("expected a whole text frame, saw the first byte %02x", bytes[0]);
    on_text(client, (char *)bytes + head, size);
    return head + size;
}

static void on_readable(Client *client) {
    if (client->rest_size) memcpy(chunk, client->rest, client->rest_size);
    ssize_t more = recv(client->fd, chunk + client->rest_size, CHUNK, 0);
    if (more < 0 && errno == EAGAIN) return;
    if (more <= 0) die("the server closed a connection");
    size_t size = client->rest_size + more, done = 0, taken;
    if (client->stage == HTTP) {
        chunk[size] = 0;
        char *end = strstr(chunk, "\r\n\r\n");
        if (end) {
            if (strncmp(chunk, "HTTP/1.1 101", 12)) die("no upgrade:\n%s", chunk);
            client->stage = OPENING;
            done = end + 4 - chunk;
        }
    }
    if (client->stage != HTTP)
        while ((taken = take_frame(client, (unsigned char *)chunk + done, size - done)))
            done += taken;
    flush(client);
    if ((client->rest_size = size - done)) {
        client->rest = realloc(client->rest, client->rest_size);
        memcpy(client->rest, chunk + done, client->rest_size);
    }
}

/* Handle what comes within some milliseconds; return whether anything did. */
static int turn(int wait_ms) {
    static struct epoll_event events[1024];
    int count = epoll_wait(loop, events, 1024, wait_ms);
    for (int i = 0; i < count; i++) on_readable(events[i].data.ptr);
    return count > 0;
}

static void turns_until(uint64_t end) {
    for (uint64_t at; (at = now()) < end;) turn((int)((end - at) / 1000000 + 1));
}

/* The phases. */

static void open_client(Client *client) {
    static char request[256];
    int size = sprintf(request,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: YSBsb2FkIGdlbmVyYXRvcg==\r\n\r\n", port);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&server, sizeof server))
        die("cannot connect: %s", strerror(errno));
    int one = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {EPOLLIN, {.ptr = client}};
    epoll_ctl(loop, EPOLL_CTL_ADD, client->fd, &event);
    send_all(client, request, size);
}

static void connect_all(void) {
    uint64_t begin = now();
    double cpu = cpu_seconds();
    for (int opened = 0; connected < clients;) {
        while (opened < clients && opened - connected < CONNECTING) open_client(&all[opened++]);
        if (!turn(PATIENCE_MS)) die("only %d of %d clients got in", connected, clients);
    }
    double took = (now() - begin) / 1e9;
    for (int i = 0; i < clients; i++) {
        ask(&all[i]);
        flush(&all[i]);
    }
    while (ready < clients)
        if (!turn(PATIENCE_MS)) die("only %d of %d clients got an ack", ready, clients);
    printf("{\"clients\": %d, \"per_second\": %.1f, \"load\": %.3f}\n", clients, clients / took,
           (cpu_seconds() - cpu) / took);
    fflush(stdout);
}

static void become_publisher(Client *client, int number) {
    body[payload] = 0;
    client->event = malloc(payload + 32);
    client->own = malloc(payload + 32);
    sprintf(client->event, "42[\"bcast\",\"%04d%s\"]", number, body + 4);
    client->own_size = sprintf(client->own, "42[\"msg\",\"%04d", number);
}

static void measure(void) {
    int asking = mode == FANOUT ? publishers : clients;
    for (int i = 0; mode == FANOUT && i < publishers; i++) become_publisher(&all[i], i);
    firing = 1;
    for (int i = 0; i < asking; i++) {
        for (int k = 0; k < outstanding; k++) ask(&all[i]);
        flush(&all[i]);
    }
    turns_until(now() + (uint64_t)(warm_up * 1e9));

    memset(latencies, 0, sizeof latencies);
    unsigned long delivered_before = delivered, answers_before = answers;
    uint64_t begin = now();
    double cpu = cpu_seconds();
    turns_until(begin + (uint64_t)(seconds * 1e9));
    double took = (now() - begin) / 1e9, load = (cpu_seconds() - cpu) / took;
    unsigned long counted = mode == FANOUT ? delivered - delivered_before : answers - answers_before;
    double p50 = latency_ms(0.5), p99 = latency_ms(0.99);

    firing = 0; /* what is on its way must still arrive, all of it */
    unsigned long expected = broadcasts * clients, missing;
    do {
        missing = mode == FANOUT ? expected - delivered : 0;
        for (int i = 0; mode == ECHO && i < clients; i++) missing += all[i].sent - all[i].answered;
    } while (missing && turn(2000));
    printf("{\"per_second\": %.1f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"load\": %.3f, "
           "\"missing\": %lu}\n", counted / took, p50, p99, load, missing);
}

static void wait_for_end_of_input(void) {
    struct pollfd inputs[] = {{STDIN_FILENO, POLLIN, 0}, {loop, POLLIN, 0}};
    char byte;
    for (;;) {
        poll(inputs, 2, -1);
        if (inputs[1].revents) turn(0);
        if (inputs[0].revents && read(STDIN_FILENO, &byte, 1) <= 0) return;
    }
}

int main(int count, char **values) {
    static const struct option options[] = {
        {"mode", 1, 0, 'm'}, {"port", 1, 0, 'p'}, {"clients", 1, 0, 'c'}, {"payload", 1, 0, 'b'},
        {"outstanding", 1, 0, 'o'}, {"publishers", 1, 0, 'u'}, {"seconds", 1, 0, 's'},
        {"warm-up", 1, 0, 'w'}, {0, 0, 0, 0}};
    for (int option; (option = getopt_long(count, values, "", options, NULL)) != -1;) {
        switch (option) {
        case 'm':
            mode = !strcmp(optarg, "fanout") ? FANOUT : !strcmp(optarg, "idle") ? IDLE : ECHO;
            break;
        case 'p': port = atoi(optarg); break;
        case 'c': clients = atoi(optarg); break;
        case 'b': payload = atoi(optarg); break;
        case 'o': outstanding = atoi(optarg); break;
        case 'u': publishers = atoi(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        default: return 2;
        }
    }
    if (payload < 8 || payload > MOST_PAYLOAD || outstanding < 1 ||
        outstanding > MOST_OUTSTANDING || publishers > clients || clients < 1)
        die("payload 8 to %d, outstanding 1 to %d, no more publishers than clients", MOST_PAYLOAD,
            MOST_OUTSTANDING);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < (rlim_t)clients + 16) die("too few open files allowed: ulimit -Hn");

    body = malloc(payload + 1);
    memset(body, 'x', payload);
    body[payload] = 0;
    all = calloc(clients, sizeof *all);
    loop = epoll_create1(0);
    connect_all();
    if (mode == IDLE)
        wait_for_end_of_input();
    else
        measure();
    return 0;
}
