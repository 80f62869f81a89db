// Stand-in: one file system in the folder that FLASH names; NOFLASH=1: the board has none; CUT=1: the power goes before a file takes the
// place of another.
#pragma once
#include <sys/stat.h>
struct File {
  FILE* file = nullptr;
  explicit operator bool() const { return file; }
  size_t readBytes(char* to, size_t most) { return fread(to, 1, most, file); }
  size_t print(const char* text) { return fwrite(text, 1, strlen(text), file); }
  void close() { fclose(file); }
};
struct LittleFsStand {
  static std::string path(const char* name) { return std::string(getenv("FLASH")) + name; }
  bool begin() { return !getenv("NOFLASH") && (mkdir(getenv("FLASH"), 0700) == 0 || true); }
  File open(const char* name, const char* mode) { return File{fopen(path(name).c_str(), mode)}; }
  bool rename(const char* from, const char* to) {
    if (getenv("CUT")) exit(0);
    return ::rename(path(from).c_str(), path(to).c_str()) == 0;
  }
};
inline LittleFsStand LittleFS;
