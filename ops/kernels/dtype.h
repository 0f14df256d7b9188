// The types of elements of arrays; kernels compute in float32 whatever they read.
#pragma once

#include <cstdint>

namespace mtl {

enum class DType { float32, bfloat16, float16, int32, float64, other };

inline int64_t ItemBytes(DType dtype) {
  return dtype == DType::float64 ? 8 : dtype == DType::bfloat16 || dtype == DType::float16 ? 2 : 4;
}

// From this many bytes on, results are written past the caches.
constexpr int64_t kPastCachesBytes = 16 << 20;

}  // namespace mtl
