// A picture in a PPM file (P6), as floats 0 to 255: `convert photo.jpg -resize 256x192! photo.ppm`.
#pragma once

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Picture {
  int64_t height = 0, width = 0;
  std::vector<float> rgb;  // [height, width, 3]
};

inline Picture read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  Picture picture;
  int most = 0;
  file >> magic >> picture.width >> picture.height >> most;
  file.get();  // the white space after the header
  if (!file || magic != "P6" || most != 255) {
    throw std::runtime_error(path + " is no PPM file (P6, 8 bits)");
  }
  std::vector<char> bytes(static_cast<size_t>(picture.height * picture.width * 3));
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw std::runtime_error(path + " is truncated");
  picture.rgb.reserve(bytes.size());
  for (char byte : bytes) picture.rgb.push_back(static_cast<unsigned char>(byte));
  return picture;
}
