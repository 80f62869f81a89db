// Runs a sketch on the host: setup(), then loop() for twelve seconds of its own time.
#include "Arduino.h"
#include SKETCH

int main() {
  setup();
  for (int turn = 0; turn < 12; turn++) {
    loop();
    delay(1000);
  }
  return 0;
}
