// What is the ESP8266's own: BearSSL, TLS 1.2.
#pragma once
#include <ESP8266WiFi.h>
#include <WiFiClientSecure.h>

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
