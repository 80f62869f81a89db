// A small device on Keyward. First the clock, without which no certificate can be judged; then TLS with verification; then MQTT:
// a status that others read, and two topics that others write. Needs the library PubSubClient. Fill in the two lines below.
//
// Not run on hardware by those who wrote it: it was compiled and run against stand-ins of the Arduino libraries.

const char WIFI_NAME[] = "FILL IN";
const char WIFI_PASSWORD[] = "FILL IN";

#include "keyward.h"
#include "board.h"
#include <EEPROM.h>
#include <PubSubClient.h>
#include <sys/time.h>
#include <time.h>

const unsigned long CLOCK_PATIENCE_MS = 15000;
const unsigned long RETRY_MS = 5000;
const char TOPIC_RATCHET[] = "$keyward/ratchet";
const unsigned long STATUS_S_LEAST = 5, STATUS_S_MOST = 86400;

PubSubClient mqtt(tls);
unsigned long status_s = 60;
unsigned long boots = 0;
unsigned long status_sent_ms = 0;
bool has_secrets = false;
char secret[112] = "";  // as the broker gave it: the name of its chain, its number, 64 digits

// The clock comes from the network. Where that has none, it begins when this bundle was made: the broker's certificate of then is
// valid then, and no certificate that ended before is.
void set_clock() {
  configTime(0, 0, "pool.ntp.org", "time.nist.gov");
  unsigned long begun = millis();
  while (time(nullptr) < KEYWARD_MADE && millis() - begun < CLOCK_PATIENCE_MS) {
    delay(100);
  }
  if (time(nullptr) < KEYWARD_MADE) {
    struct timeval made = {KEYWARD_MADE, 0};
    settimeofday(&made, nullptr);
    Serial.println("No time from the network: going on with the time of the bundle.");
  }
}

// How often this device started: a number that grows without you is worth a look.
void count_boot() {
  const unsigned long MARK = 0x4b657977;
  unsigned long kept[2] = {0, 0};
  EEPROM.begin(sizeof kept);
  EEPROM.get(0, kept);
  boots = kept[0] == MARK ? kept[1] + 1 : 1;
  kept[0] = MARK;
  kept[1] = boots;
  EEPROM.put(0, kept);
  EEPROM.commit();
}

void publish_status() {
  char text[160];
  snprintf(text, sizeof text, "{\"online\":true,\"uptime_s\":%lu,\"boots\":%lu,\"reset\":\"%s\"}", millis() / 1000, boots,
           reset_cause().c_str());
  mqtt.publish(KEYWARD_TOPIC_STATUS, text, true);
  status_sent_ms = millis();
}

bool read_digits(const char* digits, byte* bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    unsigned int value;
    if (sscanf(digits + 2 * i, "%2x", &value) != 1) return false;
    bytes[i] = (byte)value;
  }
  return digits[2 * count] == 0;
}

// The rolling secret: the broker gives another one at each connection. Of two that hold what was in this flash, one soon comes with a secret
// that was used up, and the operator hears of it. A new secret is kept before it is used.
void roll(const char* said) {
  char chain[17], number[21], digits[65], answer[112] = "none";
  byte key[32], nonce[16], tag[32];
  if (strncmp(said, "nonce ", 6) == 0 && read_digits(said + 6, nonce, sizeof nonce)) {
    if (sscanf(secret, "%16[0-9a-f] %20[0-9] %64[0-9a-f]", chain, number, digits) == 3 && read_digits(digits, key, sizeof key)) {
      hmac_sha256(key, nonce, sizeof nonce, tag);
      int length = snprintf(answer, sizeof answer, "%s %s ", chain, number);
      for (byte part : tag) length += snprintf(answer + length, sizeof answer - length, "%02x", part);
    }
    mqtt.publish(TOPIC_RATCHET, answer, false);
  } else if (strncmp(said, "next ", 5) == 0 && strlen(said + 5) < sizeof secret) {
    if (keep_secret(said + 5)) strcpy(secret, said + 5);
  } else if (strcmp(said, "stale") == 0) {
    Serial.println("The broker says that somebody else used this device's secret: there is a copy of it.");
  }
}

// A command is text from the network: nothing in it is believed before it was looked at.
void receive(char* topic, byte* payload, unsigned int length) {
  char text[128];
  bool rolls = strcmp(topic, TOPIC_RATCHET) == 0;
  if (length >= (rolls ? sizeof text : 64)) return;
  memcpy(text, payload, length);
  text[length] = 0;
  if (rolls) {
    roll(text);
  } else if (strcmp(topic, KEYWARD_TOPIC_INTERVAL) == 0) {
    unsigned long asked = strtoul(text, nullptr, 10);
    if (asked >= STATUS_S_LEAST && asked <= STATUS_S_MOST) status_s = asked;
  } else if (strcmp(topic, KEYWARD_TOPIC_DISPLAY) == 0) {
    Serial.println(text);
  }
}

bool log_in() {
  if (!tls_connect()) {
    Serial.println("The broker is not there, or it is not the broker: no password and no message was sent.");
    return false;
  }
  if (!mqtt.connect(KEYWARD_ID, KEYWARD_TOPIC_STATUS, 1, true, "{\"online\":false}")) {
    Serial.print("The broker refused the login: ");
    Serial.println(mqtt.state());
    return false;
  }
  mqtt.subscribe(KEYWARD_TOPIC_DISPLAY, 1);
  mqtt.subscribe(KEYWARD_TOPIC_INTERVAL, 1);
  if (has_secrets) mqtt.subscribe(TOPIC_RATCHET, 0);  // the broker answers with a nonce
  publish_status();
  return true;
}

void setup() {
  Serial.begin(115200);
  count_boot();
  has_secrets = secrets_begin();
  if (has_secrets) load_secret(secret, sizeof secret);
  WiFi.mode(WIFI_STA);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  while (WiFi.status() != WL_CONNECTED) {
    delay(250);
  }
  set_clock();
  tls_set_up();
  mqtt.setServer(KEYWARD_HOST, KEYWARD_PORT);
  mqtt.setBufferSize(1024);
  mqtt.setCallback(receive);
}

void loop() {
  if (!mqtt.connected() && !log_in()) {
    delay(RETRY_MS);
    set_clock();  // the next certificate of the broker may be younger than the clock
    return;
  }
  mqtt.loop();
  if (millis() - status_sent_ms >= status_s * 1000) publish_status();
}
