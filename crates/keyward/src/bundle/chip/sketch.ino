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
const unsigned long STATUS_S_LEAST = 5, STATUS_S_MOST = 86400;

PubSubClient mqtt(tls);
unsigned long status_s = 60;
unsigned long boots = 0;
unsigned long status_sent_ms = 0;

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

// A command is text from the network: nothing in it is believed before it was looked at.
void receive(char* topic, byte* payload, unsigned int length) {
  char text[64];
  if (length >= sizeof text) return;
  memcpy(text, payload, length);
  text[length] = 0;
  if (strcmp(topic, KEYWARD_TOPIC_INTERVAL) == 0) {
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
  publish_status();
  return true;
}

void setup() {
  Serial.begin(115200);
  count_boot();
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
