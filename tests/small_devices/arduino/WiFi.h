// Stand-in; what it declares is in Arduino.h.
#pragma once
