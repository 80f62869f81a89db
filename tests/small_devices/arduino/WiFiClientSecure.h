// Stand-ins for the TLS clients of both cores. Each says when it is to connect without an anchor or without a clock.
#pragma once
#ifdef ESP8266
#define BR_KEYTYPE_SIGN 0x20
#define BR_KEYTYPE_EC 2
namespace BearSSL {
struct X509List {
  explicit X509List(const char* pem) : text(pem) {}
  const char* text;
};
struct PrivateKey {
  explicit PrivateKey(const char* pem) : text(pem) {}
  const char* text;
};
struct Session {};
class WiFiClientSecure : public Client {
  bool anchored = false, shows = false;
  long long at = 0;
  int begin(const char* host, uint16_t port, const char* name) {
    printf("tls to %s:%u name=%s anchor=%d certificate=%d clock=%lld\n", host, port, name, anchored, shows, at);
    return anchored && shows;
  }

public:
  void setTrustAnchors(const X509List* list) { anchored = strstr(list->text, "BEGIN CERTIFICATE"); }
  void setClientECCert(const X509List* list, const PrivateKey* key, unsigned usages, unsigned issuer) {
    shows = strstr(list->text, "BEGIN CERTIFICATE") && strstr(key->text, "PRIVATE KEY") && usages == BR_KEYTYPE_SIGN && issuer == BR_KEYTYPE_EC;
  }
  void setBufferSizes(int in, int out) { printf("buffers %d %d\n", in, out); }
  void setSession(Session*) {}
  void setX509Time(time_t now) { at = now; }
  int connect(IPAddress ip, uint16_t port) { return begin(ip.c_str(), port, "none"); }
  int connect(const char* host, uint16_t port) { return begin(host, port, host); }
  uint8_t connected() override { return 1; }
};
}
#else
class WiFiClientSecure : public Client {
  bool anchored = false, shows = false, keyed = false;
  int begin(const char* host, uint16_t port, const char* name) {
    printf("tls to %s:%u name=%s anchor=%d certificate=%d clock=%lld\n", host, port, name, anchored, shows && keyed, clock_s);
    return anchored && shows && keyed;
  }

public:
  void setCACert(const char* pem) { anchored = strstr(pem, "BEGIN CERTIFICATE"); }
  void setCertificate(const char* pem) { shows = strstr(pem, "BEGIN CERTIFICATE"); }
  void setPrivateKey(const char* pem) { keyed = strstr(pem, "PRIVATE KEY"); }
  int connect(const char* host, uint16_t port) { return begin(host, port, host); }
  int connect(IPAddress ip, uint16_t port, const char* name, const char* ca, const char* cert, const char* key) {
    setCACert(ca), setCertificate(cert), setPrivateKey(key);
    return begin(ip.c_str(), port, name);
  }
  uint8_t connected() override { return 1; }
};
#endif
