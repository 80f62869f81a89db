/* A device in C: signs a reading, encrypts one, takes a command; and measures how much stack each of that takes.
 *
 *     device                      does everything once and prints what each step needs
 *     device vector               does the same, and prints messages that other programs verify
 *     device keys ROOT MESSAGE    prints the server's keys that a message brings
 */
#include "keyward_envelope.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                        \
    do {                                                                                   \
        if (!(what)) {                                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);             \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

static const uint8_t device_secret[32] = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
                                          9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
static const uint8_t device_seed[32] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
                                        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
static const uint8_t opening_secret[32] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
                                           5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
static const kw_context up = {KW_UP, "k7m2q9xw4hp3a8cd", "pump-1", "plant/pump-1/temperature", NULL, 0};
static const kw_context down = {KW_DOWN, "k7m2q9xw4hp3a8cd", "pump-1", "plant/pump-1/set", NULL, 0};
static const kw_claims first = {((uint64_t)3 << 32) | 17, 1795000000, 0, {0}, 0};
static const kw_group_key plant = {"plant", 7, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static kw_signer es256, ed25519;
static kw_verifier es256_check, ed25519_check;
static kw_agreement opening;
static uint8_t device_point[65], device_key[32], opening_point[65];
static uint8_t payload[64], message[512], opened[512];
static size_t len, opened_len;
static kw_found found;

/* A device asks its hardware. This one has none and counts: never do that. */
static int32_t counted(void *state, uint8_t *out, size_t wanted) {
    uint8_t *next = state;
    while (wanted--) *out++ = ++*next;
    return 0;
}

static int32_t exhausted(void *state, uint8_t *out, size_t wanted) {
    (void)state, (void)out, (void)wanted;
    return 5;
}

/* A chip that signs what it is told to: here with the key in memory. */
static int32_t chip(void *state, const kw_to_be_signed *what, uint8_t signature[64]) {
    uint8_t digest[32];
    CHECK(kw_digest(what, digest) == KW_OK);
    return kw_p256_sign(state, what, signature);
}

static int32_t broken_chip(void *state, const kw_to_be_signed *what, uint8_t signature[64]) {
    (void)state, (void)what, (void)signature;
    return 0x101;
}

static void sign_es256(void) {
    CHECK(kw_sign(&up, &first, KW_NO_FORMAT, payload, 64, &es256, message, sizeof message, &len) == KW_OK);
}

static void sign_ed25519(void) {
    CHECK(kw_sign(&up, &first, KW_NO_FORMAT, payload, 64, &ed25519, message, sizeof message, &len) == KW_OK);
}

static void sign_for_recipient(void) {
    uint8_t next = 0;
    kw_random random = {counted, &next};
    CHECK(kw_sign_for_recipient(&up, &first, KW_CBOR, payload, 64, &es256, opening_point, &random, message, sizeof message,
                                &len) == KW_OK);
}

static void sign_for_group(void) {
    CHECK(kw_sign_for_group(&up, &first, KW_CBOR, payload, 64, &es256, &plant, KW_AES_CCM_16_64_128, message, sizeof message,
                            &len) == KW_OK);
}

static void open_es256(void) {
    CHECK(kw_open(message, len, &es256_check, &up, &found, opened, sizeof opened, &opened_len) == KW_OK);
}

static void open_ed25519(void) {
    CHECK(kw_open(message, len, &ed25519_check, &up, &found, opened, sizeof opened, &opened_len) == KW_OK);
}

static void open_for_recipient(void) {
    CHECK(kw_open_for_recipient(message, len, &es256_check, &up, &opening, &found, opened, sizeof opened, &opened_len) ==
          KW_OK);
}

static void open_for_group(void) {
    CHECK(kw_open_for_group(message, len, &es256_check, &up, &plant, &found, opened, sizeof opened, &opened_len) == KW_OK);
}

/* Runs a step on a stack that was painted before, and sees how far down the paint is gone. */
#define STACK (256 * 1024)
static uint8_t *stack;

static void *run(void *step) {
    (*(void (**)(void))step)();
    return NULL;
}

static void nothing(void) {}

static size_t stack_of(void (*step)(void)) {
    pthread_attr_t attributes;
    pthread_t thread;
    size_t left = 0;
    memset(stack, 0xa5, STACK);
    CHECK(!pthread_attr_init(&attributes) && !pthread_attr_setstack(&attributes, stack, STACK));
    CHECK(!pthread_create(&thread, &attributes, run, &step) && !pthread_join(thread, NULL));
    CHECK(!pthread_attr_destroy(&attributes));
    while (left < STACK && stack[left] == 0xa5) left++;
    CHECK(left > 4096);
    return STACK - left;
}

static void print_message(const char *name) {
    printf("%s ", name);
    for (size_t i = 0; i < len; i++) printf("%02x", message[i]);
    printf("\n");
}

static void step(const char *name, void (*make)(void), void (*read)(void), size_t quiet, int print) {
    size_t making = stack_of(make), reading;
    CHECK(!(len < 64 || len > sizeof message));
    if (print) print_message(name);
    reading = stack_of(read);
    CHECK(opened_len == 64 && !memcmp(opened, payload, 64));
    CHECK(found.claims.sequence == first.sequence && found.claims.issued == first.issued);
    if (!print)
        printf("%-24s %4zu bytes on top of 64, stack %6zu to make, %6zu to read\n", name, len - 64, making - quiet,
               reading - quiet);
    for (size_t bit = 0; bit < len * 8; bit += 97) {
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(opened, 0xee, sizeof opened);
        CHECK(kw_open(message, len, &es256_check, &up, &found, opened, sizeof opened, &opened_len) != KW_OK);
        CHECK(opened[0] == 0xee);
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* What goes wrong says so, and leaves nothing. */
static void refusals(void) {
    kw_signer broken = es256;
    kw_claims undated = first;
    kw_context nowhere = up;
    kw_random none = {exhausted, NULL};
    uint8_t kid[8];
    size_t needed;

    sign_es256();
    CHECK(kw_inspect(message, len, kid) == KW_OK && !memcmp(kid, es256.kid, 8));
    CHECK(kw_inspect(message, len - 1, kid) == KW_MALFORMED);
    CHECK(kw_open(message, len, &es256_check, &down, &found, opened, sizeof opened, &opened_len) == KW_SIGNATURE);
    CHECK(kw_open(message, len, &ed25519_check, &up, &found, opened, sizeof opened, &opened_len) == KW_OTHER_KEY);
    CHECK(kw_open(message, len, &es256_check, &up, &found, opened, 63, &needed) == KW_NO_ROOM && needed == 64);
    CHECK(kw_open_for_group(message, len, &es256_check, &up, &plant, &found, opened, sizeof opened, &opened_len) ==
          KW_OTHER_FORM);
    CHECK(kw_open(message, len, NULL, &up, &found, opened, sizeof opened, &opened_len) == KW_ARGUMENT);
    CHECK(kw_sign(&up, &first, KW_NO_FORMAT, payload, 64, &es256, message, 10, &needed) == KW_NO_ROOM && needed == len);

    broken.sign = broken_chip;
    CHECK(kw_sign(&up, &first, KW_NO_FORMAT, payload, 64, &broken, message, sizeof message, &len) == KW_UNAVAILABLE);
    CHECK(message[40] == 0 && len == 0);
    CHECK(kw_sign_for_recipient(&up, &first, KW_CBOR, payload, 64, &es256, opening_point, &none, message, sizeof message,
                                &len) == KW_UNAVAILABLE);
    undated.issued = 0;
    CHECK(kw_sign(&up, &undated, KW_NO_FORMAT, payload, 64, &es256, message, sizeof message, &len) == KW_UNDATED);
    nowhere.topic = "plant/#";
    CHECK(kw_sign(&nowhere, &first, KW_NO_FORMAT, payload, 64, &es256, message, sizeof message, &len) == KW_CONTEXT);
    nowhere.topic = NULL;
    CHECK(kw_sign(&nowhere, &first, KW_NO_FORMAT, payload, 64, &es256, message, sizeof message, &len) == KW_ARGUMENT);
}

static const char hexadecimal[] = "0123456789abcdef";

static size_t bytes_of(const char *hex, uint8_t *out, size_t capacity) {
    size_t count = strlen(hex) / 2;
    CHECK(count <= capacity);
    for (size_t i = 0; i < 2 * count; i++) {
        const char *digit = strchr(hexadecimal, hex[i]);
        CHECK(digit);
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (digit - hexadecimal));
    }
    return count;
}

/* The server's keys, as another program signed them: the root's public key and the message, in hexadecimal. */
static void key_set(const char *root_hex, const char *message_hex) {
    const kw_context all = {KW_ALL, "k7m2q9xw4hp3a8cd", NULL, "$keyward/keys/server", NULL, 0};
    kw_server_key keys[KW_SERVER_KEYS];
    uint8_t point[65];
    kw_verifier root = {KW_ES256, {0}, kw_p256_check, point};
    size_t count;
    CHECK(bytes_of(root_hex, point, sizeof point) == 65 && kw_p256_kid(point, root.kid) == KW_OK);
    len = bytes_of(message_hex, message, sizeof message);
    CHECK(kw_open_key_set(message, len, &root, &all, &found, keys, &count) == KW_OK);
    printf("version %llu, good until %llu\n", (unsigned long long)found.claims.sequence,
           (unsigned long long)found.claims.expires);
    for (size_t i = 0; i < count; i++) {
        printf("%s:", keys[i].purpose == KW_SIGNS ? "sign" : "agree");
        for (size_t at = 0; at < (keys[i].algorithm == KW_ES256 ? 65 : 32); at++) printf("%02x", keys[i].key[at]);
        printf("\n");
    }
    CHECK(kw_open_key_set(message, len, &root, &up, &found, keys, &count) == KW_SIGNATURE && count == 0);
    message[len - 1] ^= 1;
    CHECK(kw_open_key_set(message, len, &root, &all, &found, keys, &count) == KW_SIGNATURE && count == 0);
}

/* No number comes twice, though the power goes. */
static void numbers(void) {
    uint64_t flash = 0, last = 0, number;
    for (int start = 0; start < 3; start++) {
        kw_numbers counter = {flash, flash};
        for (int used = 0; used < 150; used++) {
            int32_t status = kw_next_number(&counter, &number);
            if (status == KW_RESERVE) {
                flash = counter.next + 100;
                counter.end = flash;
                status = kw_next_number(&counter, &number);
            }
            CHECK(status == KW_OK && (number > last || (!start && !used)));
            last = number;
        }
    }
    CHECK(last == 549);
}

/* A command is obeyed once, and only while it is fresh. */
static void commands(void) {
    uint8_t recent[16] = {0};
    const uint8_t nonce[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    kw_claims claims = {9, 0, 0, {1, 2, 3, 4, 5, 6, 7, 8}, 8};
    CHECK(kw_command_is_fresh(&claims, 0, nonce, 8) == KW_OK);
    CHECK(kw_command_is_fresh(&claims, 0, NULL, 0) == KW_STALE);
    CHECK(kw_command_is_fresh(&first, 0, nonce, 8) == KW_STALE);
    CHECK(kw_command_is_fresh(&first, first.issued + 60, nonce, 8) == KW_OK);
    CHECK(kw_command_is_fresh(&first, first.issued + 61, nonce, 8) == KW_STALE);
    CHECK(kw_command_is_new(recent, 9) == KW_OK && kw_command_is_new(recent, 9) == KW_REPEAT);
    CHECK(kw_command_is_new(recent, 8) == KW_OK && kw_command_is_new(recent, 8) == KW_REPEAT);
}

int main(int count, char **words) {
    int print = count == 2 && !strcmp(words[1], "vector");
    size_t quiet;
    if (count == 4 && !strcmp(words[1], "keys")) {
        key_set(words[2], words[3]);
        return 0;
    }
    for (int i = 0; i < 64; i++) payload[i] = (uint8_t)i;
    stack = aligned_alloc(4096, STACK);
    CHECK(stack);

    es256 = (kw_signer){KW_ES256, {0}, chip, (void *)device_secret};
    CHECK(kw_p256_public(device_secret, device_point, es256.kid) == KW_OK);
    ed25519 = (kw_signer){KW_ED25519, {0}, kw_ed25519_sign, (void *)device_seed};
    CHECK(kw_ed25519_public(device_seed, device_key, ed25519.kid) == KW_OK);
    es256_check = (kw_verifier){KW_ES256, {0}, kw_p256_check, device_point};
    CHECK(kw_p256_kid(device_point, es256_check.kid) == KW_OK && !memcmp(es256_check.kid, es256.kid, 8));
    ed25519_check = (kw_verifier){KW_ED25519, {0}, kw_ed25519_check, device_key};
    CHECK(kw_ed25519_kid(device_key, ed25519_check.kid) == KW_OK);
    opening = (kw_agreement){{0}, kw_p256_agree, (void *)opening_secret};
    CHECK(kw_p256_public(opening_secret, opening_point, opening.kid) == KW_OK);

    quiet = stack_of(nothing);
    step("es256", sign_es256, open_es256, quiet, print);
    step("ed25519", sign_ed25519, open_ed25519, quiet, print);
    step("es256-for-recipient", sign_for_recipient, open_for_recipient, quiet, print);
    step("es256-for-group-ccm", sign_for_group, open_for_group, quiet, print);
    refusals();
    numbers();
    commands();
    free(stack);
    return 0;
}
