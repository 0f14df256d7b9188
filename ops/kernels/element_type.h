// The types of elements that kernels read and write; they compute in float32.
#pragma once

#include <cstdint>

namespace mtl {

enum class ElementType { float32, bfloat16, float16 };

inline int64_t ElementBytes(ElementType type) { return type == ElementType::float32 ? 4 : 2; }

// From this many bytes on, results are written past the caches.
constexpr int64_t kPastCachesBytes = 16 << 20;

}  // namespace mtl
