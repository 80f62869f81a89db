/* TLS as an ESP32 has it: mbedTLS. */
#include "tls.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tls_stack[] = "mbedTLS";

static mbedtls_ssl_context ssl;
static mbedtls_ssl_config config;
static mbedtls_ssl_session session, used;
static mbedtls_x509_crt ca, cert;
static mbedtls_pk_context key;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_numbers;
static int has_session, wire;

static void must(int error, const char *what) {
    if (error) { fprintf(stderr, "mbedTLS: %s: -0x%04x\n", what, (unsigned)-error); exit(2); }
}

static int from_wire(void *context, unsigned char *bytes, size_t size) {
    int count = wire_read(*(int *)context, bytes, size);
    return count > 0 ? count : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int to_wire(void *context, const unsigned char *bytes, size_t size) {
    return wire_write(*(int *)context, bytes, size);
}

static unsigned char fragment_code(unsigned fragment) {
    switch (fragment) {
    case 512: return MBEDTLS_SSL_MAX_FRAG_LEN_512;
    case 1024: return MBEDTLS_SSL_MAX_FRAG_LEN_1024;
    case 2048: return MBEDTLS_SSL_MAX_FRAG_LEN_2048;
    case 4096: return MBEDTLS_SSL_MAX_FRAG_LEN_4096;
    default: return MBEDTLS_SSL_MAX_FRAG_LEN_NONE;
    }
}

static void set_up(const struct tls_options *options) {
    mbedtls_ssl_init(&ssl);
    mbedtls_ssl_config_init(&config);
    mbedtls_x509_crt_init(&ca);
    mbedtls_x509_crt_init(&cert);
    mbedtls_pk_init(&key);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random_numbers);
    must(mbedtls_ctr_drbg_seed(&random_numbers, mbedtls_entropy_func, &entropy, NULL, 0), "random numbers");
    must(mbedtls_x509_crt_parse_file(&ca, options->ca), options->ca);
    must(mbedtls_x509_crt_parse_file(&cert, options->cert), options->cert);
    must(mbedtls_pk_parse_keyfile(&key, options->key, NULL), options->key);
    must(mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                     MBEDTLS_SSL_PRESET_DEFAULT), "defaults");
    mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&config, &ca, NULL);
    mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_numbers);
    must(mbedtls_ssl_conf_own_cert(&config, &cert, &key), "certificate");
    must(mbedtls_ssl_conf_max_frag_len(&config, fragment_code(options->fragment)), "fragment length");
    must(mbedtls_ssl_setup(&ssl, &config), "setup");
}

static int refused(uint32_t flags) {
    fprintf(stderr, "mbedTLS verification flags 0x%x\n", (unsigned)flags);
    return TLS_REFUSED;
}

int tls_open(const struct tls_options *options) {
    set_up(options);
    wire = options->socket;
    if (options->sends_name) must(mbedtls_ssl_set_hostname(&ssl, options->name), "name");
    if (has_session) must(mbedtls_ssl_set_session(&ssl, &session), "session");
    mbedtls_ssl_set_bio(&ssl, &wire, to_wire, from_wire, NULL);
    int error = mbedtls_ssl_handshake(&ssl);
    if (error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) return refused(mbedtls_ssl_get_verify_result(&ssl));
    if (error) { fprintf(stderr, "mbedTLS error -0x%04x\n", (unsigned)-error); return TLS_FAILED; }
    must(mbedtls_ssl_get_session(&ssl, &used), "session");
    /* A name that is wanted and not sent is looked for afterwards: the stack looks only for what it sends. */
    if (options->name && !options->sends_name && !tls_is_resumed()) {
        uint32_t flags = 0;
        mbedtls_x509_crt *peer = (mbedtls_x509_crt *)mbedtls_ssl_get_peer_cert(&ssl);
        if (mbedtls_x509_crt_verify(peer, &ca, NULL, options->name, &flags, NULL, NULL)) return refused(flags);
    }
    return TLS_OK;
}

int tls_is_resumed(void) { return has_session && memcmp(session.master, used.master, sizeof used.master) == 0; }

int tls_write(const unsigned char *bytes, size_t size) {
    for (size_t at = 0; at < size;) {
        int count = mbedtls_ssl_write(&ssl, bytes + at, size - at);
        if (count < 0) { fprintf(stderr, "mbedTLS error -0x%04x\n", (unsigned)-count); return -1; }
        at += (size_t)count;
    }
    return (int)size;
}

int tls_read(unsigned char *bytes, size_t size) {
    int count = mbedtls_ssl_read(&ssl, bytes, size);
    if (count < 0) fprintf(stderr, "mbedTLS error -0x%04x\n", (unsigned)-count);
    return count;
}

void tls_close(void) {
    session = used;
    memset(&used, 0, sizeof used);
    has_session = 1;
    mbedtls_ssl_close_notify(&ssl);
    mbedtls_ssl_free(&ssl);
    mbedtls_ssl_config_free(&config);
    mbedtls_x509_crt_free(&ca);
    mbedtls_x509_crt_free(&cert);
    mbedtls_pk_free(&key);
    mbedtls_ctr_drbg_free(&random_numbers);
    mbedtls_entropy_free(&entropy);
}
