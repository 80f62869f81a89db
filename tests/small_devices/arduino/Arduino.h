// Stand-ins for what the sketch uses of the Arduino cores of ESP8266 and ESP32, for the host's compiler: the declarations are those of
// the cores, the bodies print what was called. main() runs setup() and loop() a few times. NTP=none in the environment: no time comes.
#pragma once
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <ctime>
#include <sys/time.h>

#define PROGMEM

typedef uint8_t byte;
typedef bool boolean;

inline unsigned long now_ms = 0;
inline long long clock_s = 0;  // as after a start: 1970

inline unsigned long millis() { return now_ms; }
inline void delay(unsigned long ms) { now_ms += ms; }

class String {
  std::string text;

public:
  String(const char* from = "") : text(from) {}
  const char* c_str() const { return text.c_str(); }
};

struct HardwareSerial {
  void begin(unsigned long) {}
  size_t print(const char* text) { return (size_t)printf("serial %s", text); }
  size_t println(const char* text) { return (size_t)printf("serial %s\n", text); }
  size_t println(int number) { return (size_t)printf("serial %d\n", number); }
};
inline HardwareSerial Serial;

inline void configTime(long, int, const char* server, const char* = nullptr, const char* = nullptr) {
  const char* ntp = getenv("NTP");
  printf("clock asked of %s\n", server);
  if (!ntp || strcmp(ntp, "none")) clock_s = atoll(ntp ? ntp : "4000000000");
}

// The sketch's time() and settimeofday() are those of the device.
inline time_t device_time(time_t*) { return (time_t)clock_s; }
inline int device_settimeofday(const struct timeval* to, const void*) {
  printf("clock set to %lld\n", (long long)to->tv_sec);
  clock_s = to->tv_sec;
  return 0;
}
#define time device_time
#define settimeofday device_settimeofday

class IPAddress {
  std::string text;

public:
  bool fromString(const char* from) {
    text = from;
    return !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
  }
  const char* c_str() const { return text.c_str(); }
};

class Client {
public:
  virtual ~Client() {}
  virtual uint8_t connected() = 0;
};

enum wl_status_t { WL_DISCONNECTED = 6, WL_CONNECTED = 3 };
enum WiFiMode_t { WIFI_STA = 1 };
struct WiFiStand {
  int asked = 0;
  bool mode(WiFiMode_t) { return true; }
  void begin(const char*, const char*) {}
  wl_status_t status() { return ++asked > 3 ? WL_CONNECTED : WL_DISCONNECTED; }
};
inline WiFiStand WiFi;
