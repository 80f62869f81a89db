/* The socket below a TLS stack, which notes how long the records are that come. */
#include "tls.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 5, APPLICATION_DATA = 23 };

static unsigned char header[HEADER];
static size_t header_bytes, body_bytes, longest;

void wire_begin(void) { header_bytes = body_bytes = longest = 0; }

size_t wire_longest(void) { return longest; }

static void watch(const unsigned char *bytes, size_t size) {
    while (size > 0) {
        if (body_bytes > 0) {
            size_t part = body_bytes < size ? body_bytes : size;
            body_bytes -= part, bytes += part, size -= part;
            continue;
        }
        header[header_bytes++] = *bytes++, size--;
        if (header_bytes == HEADER) {
            header_bytes = 0;
            body_bytes = (size_t)header[3] << 8 | header[4];
            if (header[0] == APPLICATION_DATA && body_bytes > longest) longest = body_bytes;
        }
    }
}

int wire_read(int socket, unsigned char *bytes, size_t size) {
    ssize_t count;
    do count = recv(socket, bytes, size, 0); while (count < 0 && errno == EINTR);
    if (count > 0) watch(bytes, (size_t)count);
    return count > 0 ? (int)count : -1;
}

int wire_write(int socket, const unsigned char *bytes, size_t size) {
    ssize_t count;
    do count = send(socket, bytes, size, MSG_NOSIGNAL); while (count < 0 && errno == EINTR);
    return count > 0 ? (int)count : -1;
}
