// What is the ESP32's own: mbedTLS.
#pragma once
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <esp_system.h>

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
