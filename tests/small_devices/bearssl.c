/* TLS as an ESP8266 has it: BearSSL, TLS 1.2, with an input buffer that holds no more than the record that was asked for. */
#include "tls.h"

#include <bearssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char tls_stack[] = "BearSSL";

/* What a record adds to its data: the same numbers as in the Arduino core of the ESP8266. */
enum { OVERHEAD_IN = 325, OVERHEAD_OUT = 85, WHOLE_RECORD = 16384 };

static br_ssl_client_context client;
static br_x509_minimal_context minimal;
static br_sslio_context io;
static unsigned char in[WHOLE_RECORD + OVERHEAD_IN], out[WHOLE_RECORD + OVERHEAD_OUT];
static br_ssl_session_parameters session;
static int has_session, resumed, wire;

/* A growing piece of memory that decoders append to. */
struct bytes {
    unsigned char *start;
    size_t size;
};

static void append(void *to, const void *from, size_t size) {
    struct bytes *bytes = to;
    bytes->start = realloc(bytes->start, bytes->size + size);
    if (!bytes->start) exit(2);
    memcpy(bytes->start + bytes->size, from, size);
    bytes->size += size;
}

static struct bytes file(const char *path) {
    struct bytes all = {0};
    unsigned char part[4096];
    size_t count;
    FILE *from = fopen(path, "rb");
    if (!from) { perror(path); exit(2); }
    while ((count = fread(part, 1, sizeof part, from)) > 0) append(&all, part, count);
    fclose(from);
    return all;
}

/* Decodes the objects of a PEM file; returns how many there were. */
static size_t pem(const char *path, struct bytes *objects, size_t most) {
    struct bytes text = file(path);
    br_pem_decoder_context decoder;
    size_t at = 0, count = 0;
    br_pem_decoder_init(&decoder);
    while (at < text.size) {
        at += br_pem_decoder_push(&decoder, text.start + at, text.size - at);
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            if (count == most) { fprintf(stderr, "%s: too many objects\n", path); exit(2); }
            objects[count] = (struct bytes){0};
            br_pem_decoder_setdest(&decoder, append, &objects[count]);
            break;
        case BR_PEM_END_OBJ: count++; break;
        case BR_PEM_ERROR: fprintf(stderr, "%s: no PEM\n", path); exit(2);
        default: break;
        }
    }
    free(text.start);
    return count;
}

static br_x509_trust_anchor anchor(const char *path) {
    static struct bytes name;
    static br_x509_decoder_context decoder;
    struct bytes der;
    br_x509_trust_anchor anchor = {0};
    name = (struct bytes){0};
    if (pem(path, &der, 1) != 1) exit(2);
    br_x509_decoder_init(&decoder, append, &name);
    br_x509_decoder_push(&decoder, der.start, der.size);
    const br_x509_pkey *key = br_x509_decoder_get_pkey(&decoder);
    if (!key) { fprintf(stderr, "%s: no certificate\n", path); exit(2); }
    anchor.dn.data = name.start, anchor.dn.len = name.size;
    anchor.pkey = *key;
    anchor.flags = br_x509_decoder_isCA(&decoder) ? BR_X509_TA_CA : 0;
    return anchor;
}

static void show_certificate(const struct tls_options *options) {
    static struct bytes ders[4];
    static br_x509_certificate chain[4];
    static br_skey_decoder_context decoder;
    struct bytes key;
    size_t count = pem(options->cert, ders, 4);
    for (size_t i = 0; i < count; i++) chain[i] = (br_x509_certificate){ders[i].start, ders[i].size};
    if (pem(options->key, &key, 1) != 1) exit(2);
    br_skey_decoder_init(&decoder);
    br_skey_decoder_push(&decoder, key.start, key.size);
    const br_ec_private_key *ec = br_skey_decoder_get_ec(&decoder);
    if (!ec) { fprintf(stderr, "%s: no EC key\n", options->key); exit(2); }
    br_ssl_client_set_single_ec(&client, chain, count, ec, BR_KEYTYPE_SIGN, BR_KEYTYPE_EC, br_ec_get_default(),
                                br_ecdsa_sign_asn1_get_default());
}

/* The verifier with a name of its own: what must be in the certificate need not be in the hello. */
static const char *wanted;

static void start_chain(const br_x509_class **context, const char *asked) {
    (void)asked;
    br_x509_minimal_vtable.start_chain(context, wanted);
}

static int from_wire(void *context, unsigned char *bytes, size_t size) { return wire_read(*(int *)context, bytes, size); }

static int to_wire(void *context, const unsigned char *bytes, size_t size) {
    return wire_write(*(int *)context, bytes, size);
}

int tls_open(const struct tls_options *options) {
    static br_x509_trust_anchor trusted;
    static br_x509_class verifier;
    time_t now = time(NULL);
    trusted = anchor(options->ca);
    wire = options->socket;
    wanted = options->name;
    br_ssl_client_init_full(&client, &minimal, &trusted, 1);
    verifier = br_x509_minimal_vtable;
    verifier.start_chain = start_chain;
    minimal.vtable = &verifier;
    br_x509_minimal_set_time(&minimal, (uint32_t)(now / 86400) + 719528, (uint32_t)(now % 86400));
    /* BearSSL asks for what the smaller of its buffers holds. */
    size_t fragment = options->fragment ? options->fragment : WHOLE_RECORD;
    br_ssl_engine_set_buffers_bidi(&client.eng, in, fragment + OVERHEAD_IN, out, fragment + OVERHEAD_OUT);
    show_certificate(options);
    if (has_session) br_ssl_engine_set_session_parameters(&client.eng, &session);
    br_ssl_client_reset(&client, options->sends_name ? options->name : NULL, has_session);
    br_sslio_init(&io, &client.eng, from_wire, &wire, to_wire, &wire);
    br_sslio_flush(&io);
    int error = br_ssl_engine_last_error(&client.eng);
    if (error) {
        fprintf(stderr, "BearSSL error %d\n", error);
        return error > BR_ERR_X509_OK && error <= BR_ERR_X509_NOT_TRUSTED ? TLS_REFUSED : TLS_FAILED;
    }
    br_ssl_session_parameters now_used;
    br_ssl_engine_get_session_parameters(&client.eng, &now_used);
    resumed = has_session && now_used.session_id_len > 0 && now_used.session_id_len == session.session_id_len &&
              memcmp(now_used.session_id, session.session_id, session.session_id_len) == 0;
    return TLS_OK;
}

int tls_is_resumed(void) { return resumed; }

int tls_write(const unsigned char *bytes, size_t size) {
    if (br_sslio_write_all(&io, bytes, size) == 0 && br_sslio_flush(&io) == 0) return (int)size;
    fprintf(stderr, "BearSSL error %d\n", br_ssl_engine_last_error(&client.eng));
    return -1;
}

int tls_read(unsigned char *bytes, size_t size) {
    int count = br_sslio_read(&io, bytes, size);
    if (count < 0) fprintf(stderr, "BearSSL error %d\n", br_ssl_engine_last_error(&client.eng));
    return count;
}

void tls_close(void) {
    br_ssl_engine_get_session_parameters(&client.eng, &session);
    has_session = 1;
    br_sslio_close(&io);
}
