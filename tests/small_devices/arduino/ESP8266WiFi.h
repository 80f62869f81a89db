// Stand-in; what it declares is in Arduino.h.
#pragma once
struct EspStand {
  String getResetReason() { return "Power On"; }
};
inline EspStand ESP;
