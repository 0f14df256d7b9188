// Memory for the time of a call.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>
#include <vector>

namespace mtl {

// Arrays of floats, zero and 64-byte aligned. They come from the system and go back to it: an
// allocator would keep for the whole process what its threads needed once.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    for (const auto& [memory, bytes] : arrays_) munmap(memory, bytes);
  }

  float* Take(int64_t count) {
    const size_t bytes = count * sizeof(float);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    arrays_.emplace_back(memory, bytes);
    return static_cast<float*>(memory);
  }

 private:
  std::vector<std::pair<void*, size_t>> arrays_;
};

}  // namespace mtl
