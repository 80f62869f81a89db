/* Signed and encrypted messages (mqsec1, docs/mqsec1.md) for devices that are programmed in C.
 *
 * Nothing here allocates, waits, reads a clock or keeps anything: all memory is the caller's. Every function returns KW_OK or says what went
 * wrong; nothing of a payload is then in the buffer that it was to fill. Texts end with a zero byte. Pointers must not be null unless that is said. Buffers that
 * are read and buffers that are written must not overlap. */
#ifndef KEYWARD_ENVELOPE_H
#define KEYWARD_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KW_OK = 0,
    KW_ARGUMENT = 1,      /* a pointer is null, a text is not UTF-8, a number is none of those listed here */
    KW_NO_ROOM = 2,       /* the buffer is too short; *written says what is needed */
    KW_TOO_LONG = 3,      /* the message would be longer than 64 KiB */
    KW_CONTEXT = 4,       /* installation, device, topic or correlation cannot be */
    KW_UNDATED = 5,       /* the claims have neither a date nor a nonce */
    KW_UNAVAILABLE = 6,   /* a callback failed */
    KW_KEY = 7,           /* these bytes are no key */
    KW_MALFORMED = 8,     /* the bytes are no message of the profile */
    KW_OTHER_KEY = 9,     /* the message names another key */
    KW_SIGNATURE = 10,    /* the signature does not hold */
    KW_OTHER_FORM = 11,   /* the message is encrypted otherwise, or not at all */
    KW_UNREADABLE = 12,   /* the content does not open */
    KW_STALE = 13,        /* the command is too old, of another session, or cannot be judged */
    KW_REPEAT = 14,       /* the number was seen before, or may have been */
    KW_RESERVE = 15       /* numbers have to be stored as used before there are more */
};

enum { KW_ES256 = -7, KW_ED25519 = -8 };        /* algorithms */
enum { KW_UP = 0, KW_DOWN = 1, KW_ALL = 2 };    /* directions: the device speaks, the server to it, the server to all */
enum { KW_A128GCM = 1, KW_AES_CCM_16_64_128 = 10 };    /* ciphers of groups */
enum { KW_NO_FORMAT = -1, KW_OCTETS = 42, KW_JSON = 50, KW_CBOR = 60, KW_SENML_CBOR = 112 };    /* CoAP content formats */

enum { KW_SIGNS = 1, KW_AGREES = 2 };    /* purposes of keys: messages are verified with it, or encrypted to it */

#define KW_SERVER_KEYS 8    /* keys in a key set, at most */
#define KW_GROUP_NAME 65    /* bytes of a group's name, with its zero byte */

/* What a message is for. Signer and reader must give the same. */
typedef struct {
    int32_t direction;
    const char *installation;
    const char *device;           /* null if the direction is KW_ALL */
    const char *topic;
    const uint8_t *correlation;   /* MQTT 5's correlation data, or null */
    size_t correlation_len;
} kw_context;

/* What a message says of itself. A date (issued) or a nonce has to be there. */
typedef struct {
    uint64_t sequence;       /* never the same for two messages of one key */
    uint64_t issued;         /* seconds since 1970, or 0 */
    uint64_t expires;        /* seconds since 1970, or 0 */
    uint8_t nonce[16];
    size_t nonce_len;        /* 8 to 16, or 0 */
} kw_claims;

/* Numbers for messages. After a start both are what was stored (0 at first). On KW_RESERVE: store next + 1000, so that it survives a loss of power, and
 * only then set end to that. */
typedef struct {
    uint64_t next;
    uint64_t end;
} kw_numbers;

/* What is to be signed, while it is being signed or verified. */
typedef struct kw_to_be_signed kw_to_be_signed;

/* A key that signs. `sign` returns 0, or a code of its own. With a chip it asks kw_digest for what to sign and returns r and s; with a key in
 * memory it is kw_p256_sign or kw_ed25519_sign, and `state` points to the 32 secret bytes. */
typedef struct {
    int32_t algorithm;
    uint8_t kid[8];
    int32_t (*sign)(void *state, const kw_to_be_signed *message, uint8_t signature[64]);
    void *state;
} kw_signer;

/* A key that verifies. `check` returns 0 if the signature holds: kw_p256_check with `state` at the 65 bytes of the point, kw_ed25519_check with
 * `state` at the 32 bytes of the key, or one of the caller's. */
typedef struct {
    int32_t algorithm;
    uint8_t kid[8];
    int32_t (*check)(const void *state, const kw_to_be_signed *message, const uint8_t signature[64]);
    const void *state;
} kw_verifier;

/* Random bytes. `fill` returns 0, or a code of its own. */
typedef struct {
    int32_t (*fill)(void *state, uint8_t *out, size_t len);
    void *state;
} kw_random;

/* A key of P-256 that opens what is encrypted to it. `agree` writes the x coordinate of the common point and returns 0: kw_p256_agree with
 * `state` at the 32 secret bytes, or a chip. */
typedef struct {
    uint8_t kid[8];
    int32_t (*agree)(void *state, const uint8_t peer[65], uint8_t shared[32]);
    void *state;
} kw_agreement;

/* The key of a group in one epoch. Wipe it when it is not needed. */
typedef struct {
    char group[KW_GROUP_NAME];
    uint32_t epoch;
    uint8_t secret[16];
} kw_group_key;

/* A key of the server. `key` has 65 bytes for KW_ES256, 32 for KW_ED25519: what kw_p256_check and kw_ed25519_check take as their state. */
typedef struct {
    int32_t purpose;      /* KW_SIGNS or KW_AGREES */
    int32_t algorithm;
    uint8_t kid[8];
    uint8_t key[65];
} kw_server_key;

/* What was found in a message that holds. */
typedef struct {
    kw_claims claims;
    int32_t format;     /* KW_NO_FORMAT if nothing is said */
} kw_found;

/* The next number of a message. */
int32_t kw_next_number(kw_numbers *numbers, uint64_t *sequence);

/* Signing. `format` is a content format or KW_NO_FORMAT; `*written` gets the length of the message. */
int32_t kw_sign(const kw_context *context, const kw_claims *claims, int32_t format, const uint8_t *payload, size_t payload_len,
                const kw_signer *signer, uint8_t *out, size_t capacity, size_t *written);
int32_t kw_sign_for_recipient(const kw_context *context, const kw_claims *claims, int32_t format, const uint8_t *payload,
                              size_t payload_len, const kw_signer *signer, const uint8_t to[65], const kw_random *random,
                              uint8_t *out, size_t capacity, size_t *written);
int32_t kw_sign_for_group(const kw_context *context, const kw_claims *claims, int32_t format, const uint8_t *payload,
                          size_t payload_len, const kw_signer *signer, const kw_group_key *key, int32_t cipher, uint8_t *out,
                          size_t capacity, size_t *written);

/* Looking at a message that nobody has verified: which key it names. */
int32_t kw_inspect(const uint8_t *message, size_t len, uint8_t kid[8]);

/* Verifying and opening. The payload goes to `out`, its length to `*written`. Each takes its own form only. */
int32_t kw_open(const uint8_t *message, size_t len, const kw_verifier *verifier, const kw_context *context, kw_found *found,
                uint8_t *out, size_t capacity, size_t *written);
int32_t kw_open_for_recipient(const uint8_t *message, size_t len, const kw_verifier *verifier, const kw_context *context,
                              const kw_agreement *key, kw_found *found, uint8_t *out, size_t capacity, size_t *written);
int32_t kw_open_for_group(const uint8_t *message, size_t len, const kw_verifier *verifier, const kw_context *context,
                          const kw_group_key *key, kw_found *found, uint8_t *out, size_t capacity, size_t *written);
int32_t kw_open_grant(const uint8_t *message, size_t len, const kw_verifier *verifier, const kw_context *context,
                      const kw_agreement *key, kw_found *found, kw_group_key *granted);
/* The server's keys, verified with the root's key, for a context of direction KW_ALL. The version is found->claims.sequence: take no lower one
 * than before. `*count` gets the number of keys. */
int32_t kw_open_key_set(const uint8_t *message, size_t len, const kw_verifier *root, const kw_context *context, kw_found *found,
                        kw_server_key keys[KW_SERVER_KEYS], size_t *count);

/* A verified command: is it still good? `now` is 0 without a clock; `nonce` is the last that the device gave out, or null. */
int32_t kw_command_is_fresh(const kw_claims *claims, uint64_t now, const uint8_t *nonce, size_t nonce_len);
/* Is it new? `recent` is what the device remembers of the server's key, zeros at first; store it before acting. */
int32_t kw_command_is_new(uint8_t recent[16], uint64_t sequence);

/* Keys in memory. */
int32_t kw_digest(const kw_to_be_signed *message, uint8_t digest[32]);
int32_t kw_p256_sign(void *secret, const kw_to_be_signed *message, uint8_t signature[64]);
int32_t kw_p256_check(const void *point, const kw_to_be_signed *message, const uint8_t signature[64]);
int32_t kw_p256_agree(void *secret, const uint8_t peer[65], uint8_t shared[32]);
int32_t kw_p256_public(const uint8_t secret[32], uint8_t point[65], uint8_t kid[8]);
int32_t kw_p256_kid(const uint8_t point[65], uint8_t kid[8]);
int32_t kw_ed25519_sign(void *seed, const kw_to_be_signed *message, uint8_t signature[64]);
int32_t kw_ed25519_check(const void *key, const kw_to_be_signed *message, const uint8_t signature[64]);
int32_t kw_ed25519_public(const uint8_t seed[32], uint8_t key[32], uint8_t kid[8]);
int32_t kw_ed25519_kid(const uint8_t key[32], uint8_t kid[8]);

#ifdef __cplusplus
}
#endif

#endif
