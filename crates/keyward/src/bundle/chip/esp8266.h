// What is the ESP8266's own: BearSSL, TLS 1.2, LittleFS.
#pragma once
#include <ESP8266WiFi.h>
#include <LittleFS.h>
#include <WiFiClientSecure.h>
#include <bearssl/bearssl.h>

BearSSL::WiFiClientSecure tls;
BearSSL::X509List anchors(KEYWARD_CA);
BearSSL::X509List chain(KEYWARD_CERT);
BearSSL::PrivateKey key(KEYWARD_KEY);
BearSSL::Session session;

// Keyward sends records as short as these buffers ask for: 1,024 bytes each way.
void tls_set_up() {
  tls.setTrustAnchors(&anchors);
  tls.setClientECCert(&chain, &key, BR_KEYTYPE_SIGN, BR_KEYTYPE_EC);
  tls.setBufferSizes(1024, 1024);
  tls.setSession(&session);
}

// By address no name is looked at: under the anchor there is no certificate but the broker's.
bool tls_connect() {
  IPAddress address;
  tls.setX509Time(time(nullptr));
  if (address.fromString(KEYWARD_HOST)) return tls.connect(address, KEYWARD_PORT);
  return tls.connect(KEYWARD_HOST, KEYWARD_PORT);
}

String reset_cause() { return ESP.getResetReason(); }

// The rolling secret lies in a file that is replaced in one piece: a power cut leaves the one of before or the new one.
const char SECRET_FILE[] = "/keyward.secret";

// False where the board's flash was laid out without a file system.
bool secrets_begin() { return LittleFS.begin(); }

void load_secret(char* text, size_t size) {
  File file = LittleFS.open(SECRET_FILE, "r");
  size_t length = file ? file.readBytes(text, size - 1) : 0;
  text[length] = 0;
  if (file) file.close();
}

bool keep_secret(const char* text) {
  File file = LittleFS.open("/keyward.new", "w");
  if (!file) return false;
  bool is_written = file.print(text) == strlen(text);
  file.close();
  return is_written && LittleFS.rename("/keyward.new", SECRET_FILE);
}

void hmac_sha256(const byte* key, const byte* data, size_t length, byte* tag) {
  br_hmac_key_context keyed;
  br_hmac_context context;
  br_hmac_key_init(&keyed, &br_sha256_vtable, key, 32);
  br_hmac_init(&context, &keyed, 0);
  br_hmac_update(&context, data, length);
  br_hmac_out(&context, tag);
}
