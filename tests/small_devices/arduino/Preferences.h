// Stand-in: what is put lies in a file in the folder that FLASH names; NOFLASH=1: the board has no place for it; CUT=1: the power goes
// before anything is put.
#pragma once
#include <sys/stat.h>
struct Preferences {
  static std::string path(const char* key) { return std::string(getenv("FLASH")) + "/" + key; }
  bool begin(const char*, bool) { return !getenv("NOFLASH") && (mkdir(getenv("FLASH"), 0700) == 0 || true); }
  size_t getString(const char* key, char* to, size_t size) {
    FILE* file = fopen(path(key).c_str(), "rb");
    if (!file) return 0;
    size_t length = fread(to, 1, size - 1, file);
    fclose(file);
    to[length] = 0;
    return length + 1;
  }
  size_t putString(const char* key, const char* text) {
    if (getenv("CUT")) exit(0);
    FILE* file = fopen(path(key).c_str(), "wb");
    if (!file) return 0;
    size_t length = fwrite(text, 1, strlen(text), file);
    return fclose(file) == 0 ? length : 0;
  }
};
