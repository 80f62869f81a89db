// What is the ESP32's own: mbedTLS, preferences.
#pragma once
#include <Preferences.h>
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <esp_system.h>
#include <mbedtls/md.h>

WiFiClientSecure tls;

void tls_set_up() {
  tls.setCACert(KEYWARD_CA);
  tls.setCertificate(KEYWARD_CERT);
  tls.setPrivateKey(KEYWARD_KEY);
}

// This stack compares names with the certificate and no addresses: by address it looks for a name that the certificate also holds.
bool tls_connect() {
  IPAddress address;
  if (address.fromString(KEYWARD_HOST)) {
    return tls.connect(address, KEYWARD_PORT, KEYWARD_SERVER_NAME, KEYWARD_CA, KEYWARD_CERT, KEYWARD_KEY);
  }
  return tls.connect(KEYWARD_HOST, KEYWARD_PORT);
}

String reset_cause() {
  switch (esp_reset_reason()) {
    case ESP_RST_POWERON: return "power on";
    case ESP_RST_EXT: return "reset pin";
    case ESP_RST_SW: return "software";
    case ESP_RST_PANIC: return "panic";
    case ESP_RST_INT_WDT:
    case ESP_RST_TASK_WDT:
    case ESP_RST_WDT: return "watchdog";
    case ESP_RST_DEEPSLEEP: return "deep sleep";
    case ESP_RST_BROWNOUT: return "brownout";
    default: return "unknown";
  }
}

// The rolling secret lies where preferences do: what is put there replaces what was, in one piece, also if the power goes.
Preferences preferences;

bool secrets_begin() { return preferences.begin("keyward", false); }

void load_secret(char* text, size_t size) {
  if (preferences.getString("secret", text, size) == 0) text[0] = 0;
}

bool keep_secret(const char* text) { return preferences.putString("secret", text) == strlen(text); }

void hmac_sha256(const byte* key, const byte* data, size_t length, byte* tag) {
  mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), key, 32, data, length, tag);
}
