// Reading a block of float32, bfloat16 or float16 elements as float32.
//
// Each type offers kIsFloat32 and Load(elements, begin, count, scratch), which returns `count`
// float32 values: the elements themselves where they are float32, else `scratch`, filled.
// Included only by kernels, inside the instruction set they are compiled for.
#pragma once

#include <cstdint>
#include <cstring>

namespace mtl {
namespace MTL_ISA {

struct Float32 {
  static constexpr bool kIsFloat32 = true;
  static const float* Load(const void* elements, int64_t begin, int64_t /*count*/,
                           float* /*scratch*/) {
    return static_cast<const float*>(elements) + begin;
  }
};

struct Bfloat16 {
  static constexpr bool kIsFloat32 = false;
  static const float* Load(const void* elements, int64_t begin, int64_t count, float* scratch) {
    const uint16_t* narrow = static_cast<const uint16_t*>(elements) + begin;
    for (int64_t e = 0; e < count; ++e) {
      const uint32_t bits = static_cast<uint32_t>(narrow[e]) << 16;
      std::memcpy(scratch + e, &bits, sizeof(bits));
    }
    return scratch;
  }
};

struct Float16 {
  static constexpr bool kIsFloat32 = false;
  static const float* Load(const void* elements, int64_t begin, int64_t count, float* scratch) {
    const uint16_t* narrow = static_cast<const uint16_t*>(elements) + begin;
    for (int64_t e = 0; e < count; ++e) scratch[e] = Widen(narrow[e]);
    return scratch;
  }

 private:
  // Branch-free: the exponent is re-biased by a multiplication with 2^112, which also makes
  // subnormal numbers right; infinity and NaN get the full exponent back.
  static float Widen(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fffu) << 13;
    const uint32_t rebias_bits = 0x77800000u;  // 2^112
    float value, rebias;
    std::memcpy(&value, &magnitude, sizeof(value));
    std::memcpy(&rebias, &rebias_bits, sizeof(rebias));
    value *= rebias;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    const uint32_t special = (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
    bits |= sign | special;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
};

}  // namespace MTL_ISA
}  // namespace mtl
