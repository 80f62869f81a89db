/* A small device: logs in with its certificate, subscribes below its id, publishes a long message, waits until that is back,
 * and does so a second time with the session of the first. MQTT 3.1.1 in as few lines as it takes; the TLS stack is linked in.
 *
 *   CLIENT ADDRESS PORT NAME name|address|no-sni FRAGMENT BUNDLE-DIR ID
 *
 * Exit code: 0 all came; 3 the certificate of the server is refused; 1 anything else. */
#include "tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PAYLOAD = 6000, PATIENCE_S = 10, REFUSED = 3 };
enum { CONNACK = 2, PUBLISH = 3, PUBACK = 4, SUBACK = 9 };

static unsigned char packet[PAYLOAD + 256];
static size_t packet_bytes;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", tls_stack, what);
    exit(1);
}

/* Building: a packet's body grows in `packet`, its header is put before it when it leaves. */
static void put(const void *bytes, size_t size) {
    memcpy(packet + packet_bytes, bytes, size);
    packet_bytes += size;
}

static void put_u16(size_t number) { put((unsigned char[]){number >> 8, number & 255}, 2); }

static void put_text(const char *text) { put_u16(strlen(text)), put(text, strlen(text)); }

static void leave(unsigned char first) {
    unsigned char header[3] = {first};
    size_t count = 1, rest = packet_bytes;
    do {
        header[count++] = (rest & 127) | (rest > 127 ? 128 : 0);
        rest >>= 7;
    } while (rest > 0);
    if (tls_write(header, count) < 0 || tls_write(packet, packet_bytes) < 0) fail("cannot write");
    packet_bytes = 0;
}

static unsigned char read_byte(void) {
    unsigned char byte;
    if (tls_read(&byte, 1) != 1) fail("the broker closed");
    return byte;
}

/* Reads one packet's body into `packet`; returns its type. */
static int arrive(void) {
    int type = read_byte() >> 4, shift = 0;
    unsigned char byte;
    packet_bytes = 0;
    do {
        byte = read_byte();
        packet_bytes |= (size_t)(byte & 127) << shift;
        shift += 7;
    } while (byte & 128);
    if (packet_bytes > sizeof packet) fail("a packet is too long");
    for (size_t at = 0; at < packet_bytes;) {
        int count = tls_read(packet + at, packet_bytes - at);
        if (count <= 0) fail("the broker closed in a packet");
        at += (size_t)count;
    }
    return type;
}

static void expect(int type, const char *name) {
    if (arrive() != type) fail(name);
    if (type == CONNACK && packet[1] != 0) fail("login refused");
    if (type == SUBACK && packet[2] > 1) fail("subscription refused");
    packet_bytes = 0;
}

static unsigned char letter(size_t at) { return 'a' + at % 23; }

static void talk(const char *id) {
    char topic[96];
    put_text("MQTT"), put((unsigned char[]){4, 2, 0, 60}, 4), put_text(id);
    leave(0x10);
    expect(CONNACK, "no CONNACK");
    snprintf(topic, sizeof topic, "%s/#", id);
    put_u16(1), put_text(topic), put("\1", 1);
    leave(0x82);
    expect(SUBACK, "no SUBACK");
    snprintf(topic, sizeof topic, "%s/status", id);
    put_text(topic), put_u16(2);
    for (size_t at = 0; at < PAYLOAD; at++) packet[packet_bytes++] = letter(at);
    leave(0x32);
    for (int acknowledged = 0, back = 0; !acknowledged || !back;) {
        int type = arrive();
        if (type == PUBACK) acknowledged = 1;
        if (type != PUBLISH) continue;
        size_t start = 2 + strlen(topic) + 2;
        if (packet_bytes != start + PAYLOAD || memcmp(packet + 2, topic, strlen(topic))) fail("another message came");
        for (size_t at = 0; at < PAYLOAD; at++)
            if (packet[start + at] != letter(at)) fail("the message is damaged");
        back = 1;
    }
    packet_bytes = 0;
    leave(0xe0);
}

static int reach(const char *address, const char *port) {
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    int link = socket(AF_INET, SOCK_STREAM, 0);
    if (link < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1) fail("no address");
    setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(link, (struct sockaddr *)&to, sizeof to)) fail("cannot connect");
    return link;
}

int main(int count, char **words) {
    static char files[3][512];
    static const char *names[3] = {"ca.pem", "cert.pem", "key.pem"};
    if (count != 8) fail("usage: ADDRESS PORT NAME name|address|no-sni FRAGMENT BUNDLE-DIR ID");
    for (int i = 0; i < 3; i++) snprintf(files[i], sizeof files[i], "%s/%s", words[6], names[i]);
    struct tls_options options = {
        .name = strcmp(words[4], "address") ? words[3] : NULL,
        .sends_name = strcmp(words[4], "name") == 0,
        .ca = files[0], .cert = files[1], .key = files[2],
        .fragment = (unsigned)atoi(words[5]),
    };
    for (int link = 0; link < 2; link++) {
        options.socket = reach(words[1], words[2]);
        wire_begin();
        int opened = tls_open(&options);
        if (opened == TLS_REFUSED) return REFUSED;
        if (opened != TLS_OK) fail("no handshake");
        talk(words[7]);
        printf("%s link %d: %s, %d bytes back, longest record %zu\n", tls_stack, link + 1,
               tls_is_resumed() ? "resumed" : "full handshake", PAYLOAD, wire_longest());
        tls_close();
        close(options.socket);
    }
    return 0;
}
