// Stand-in: what is kept over starts lies in the file that EEPROM names.
#pragma once
struct EepromStand {
  char bytes[64] = {};
  void begin(size_t) {
    if (FILE* file = fopen(getenv("EEPROM"), "rb")) {
      if (fread(bytes, 1, sizeof bytes, file) == 0) printf("eeprom is empty\n");
      fclose(file);
    }
  }
  template <typename T> T& get(int at, T& value) { memcpy(&value, bytes + at, sizeof value); return value; }
  template <typename T> const T& put(int at, const T& value) { memcpy(bytes + at, &value, sizeof value); return value; }
  bool commit() {
    FILE* file = fopen(getenv("EEPROM"), "wb");
    bool kept = file && fwrite(bytes, 1, sizeof bytes, file) == sizeof bytes;
    return file && fclose(file) == 0 && kept;
  }
};
inline EepromStand EEPROM;
