// Stand-in for the library PubSubClient.
#pragma once
class PubSubClient {
  Client& client;
  bool is_in = false, rolls = false;
  void (*callback)(char*, byte*, unsigned int) = nullptr;

public:
  explicit PubSubClient(Client& client) : client(client) {}
  PubSubClient& setServer(const char*, uint16_t) { return *this; }
  bool setBufferSize(uint16_t) { return true; }
  PubSubClient& setCallback(void (*to)(char*, byte*, unsigned int)) { callback = to; return *this; }
  bool connect(const char* id, const char* will, uint8_t qos, boolean retain, const char* text) {
    printf("connect %s will %s qos=%d retain=%d %s\n", id, will, qos, retain, text);
    return is_in = client.connected();
  }
  bool publish(const char* topic, const char* text, boolean retain) { return printf("publish %s retain=%d %s\n", topic, retain, text) > 0; }
  bool subscribe(const char* topic, uint8_t qos) {
    rolls |= strcmp(topic, "$keyward/ratchet") == 0;
    return printf("subscribe %s qos=%d\n", topic, qos) > 0;
  }
  bool connected() { return is_in; }
  int state() { return 0; }
  // Commands come in the second turn: a good one, one that is out of bounds, one that is too long. Behind them comes what is said of the
  // rolling secret: a nonce, and RULING, what came of the answer.
  bool loop() {
    static int turn = 0;
    auto say = [this](const char* topic, const char* text) {
      char name[96];
      byte payload[256];
      snprintf(name, sizeof name, "%s", topic);
      memcpy(payload, text, strlen(text));
      callback(name, payload, (unsigned)strlen(text));
    };
    if (++turn == 2) {
      say(KEYWARD_TOPIC_DISPLAY, "hello");
      say(KEYWARD_TOPIC_INTERVAL, "10");
      say(KEYWARD_TOPIC_INTERVAL, "0");
      say(KEYWARD_TOPIC_DISPLAY, "a text that is longer than what this device shows in one line, so it does not");
      if (rolls) {
        say("$keyward/ratchet", "nonce 000102030405060708090a0b0c0d0e0f");
        say("$keyward/ratchet", getenv("RULING") ? getenv("RULING") : "wrong");
      }
    }
    return true;
  }
};
