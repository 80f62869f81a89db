// The library itself, where the core of the ESP8266 has it.
#pragma once
#include <bearssl.h>
