/* What the MQTT part asks of a TLS stack: one link at a time, and the session of the last one for the next. */
#ifndef TLS_H
#define TLS_H

#include <stddef.h>

struct tls_options {
    int socket;
    const char *name;    /* the name that the certificate must hold; NULL: anchors alone decide, as by address */
    int sends_name;      /* whether the name goes into the hello (SNI) */
    const char *ca;      /* PEM files of the bundle */
    const char *cert;
    const char *key;
    unsigned fragment;   /* the longest record that is asked for; 0: nothing is asked */
};

/* Names the stack. */
extern const char tls_stack[];

/* Shakes hands on the socket; a session of an earlier link is offered. Returns 0, or says on standard error what was wrong
 * and returns TLS_REFUSED if the server's certificate is, or TLS_FAILED. */
enum { TLS_OK, TLS_REFUSED, TLS_FAILED };
int tls_open(const struct tls_options *options);

/* Tells whether the link goes on with the session of an earlier one. */
int tls_is_resumed(void);

/* Writes all; reads some, at most `size`. Return what was read, 0 at the end, or less at an error. */
int tls_write(const unsigned char *bytes, size_t size);
int tls_read(unsigned char *bytes, size_t size);

/* Ends the link in order and keeps its session. */
void tls_close(void);

/* Watched transport, for the stacks (wire.c). */
int wire_read(int socket, unsigned char *bytes, size_t size);
int wire_write(int socket, const unsigned char *bytes, size_t size);
/* The longest record of application data that came since wire_begin. */
size_t wire_longest(void);
void wire_begin(void);

#endif
