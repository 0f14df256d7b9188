// Walks the vectors of pieces of feature maps.
//
// Included only by sources that are compiled once per instruction set (cpu_dispatch.h).
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/features/feature_maps.h"

namespace mtl {
namespace MTL_ISA {

// How a row of channels is read and written: whole vectors, the same past the caches, and the
// `n` < kLanes channels that are left at the end.
template <typename Type>
struct Whole {
  static Floats Load(const void* row, int64_t c, int64_t) { return Type::Load(row, c); }
  static void Store(void* row, int64_t c, int64_t, Floats x) { Type::Store(row, c, x); }
  static Floats LoadFloats(const float* row, int64_t c, int64_t) { return Float32::Load(row, c); }
  static void StoreFloats(float* row, int64_t c, int64_t, Floats x) { Float32::Store(row, c, x); }
};

template <typename Type>
struct Streamed : Whole<Type> {
  static void Store(void* row, int64_t c, int64_t, Floats x) { Type::Stream(row, c, x); }
};

template <typename Type>
struct Rest {
  static Floats Load(const void* row, int64_t c, int64_t n) { return LoadPart<Type>(row, c, n); }
  static void Store(void* row, int64_t c, int64_t n, Floats x) { StorePart<Type>(row, c, n, x); }
  static Floats LoadFloats(const float* row, int64_t c, int64_t n) {
    return LoadPart<Float32>(row, c, n);
  }
  static void StoreFloats(float* row, int64_t c, int64_t n, Floats x) {
    StorePart<Float32>(row, c, n, x);
  }
};

// Whether vectors of a piece of `maps`, whose positions are `stride` elements apart, lie where
// streaming stores may write.
template <typename Type>
inline bool CanStream(void* const* maps, int num_maps, int64_t stride, const Piece& piece) {
  constexpr int64_t kBytes = kLanes * sizeof(typename Type::Element);
  const bool is_one_row = piece.begin + piece.count == 1;
  if (!Type::kStreams || piece.first % kLanes != 0) return false;
  if (!is_one_row && stride % kLanes != 0) return false;
  for (int n = 0; n < num_maps; ++n) {
    if (reinterpret_cast<uintptr_t>(maps[n]) % kBytes != 0) return false;
  }
  return true;
}

// Calls `f(access, position, channel, count)` for all vectors of a piece.
template <typename Type, typename Access, typename Function>
inline void ForEachVector(const Piece& piece, const Function& f) {
  const int64_t end = piece.first + piece.channels;
  for (int64_t p = piece.begin; p < piece.begin + piece.count; ++p) {
    int64_t c = piece.first;
    for (; c + kLanes <= end; c += kLanes) f(Access{}, p, c, int64_t{kLanes});
    if (c < end) f(Rest<Type>{}, p, c, end - c);
  }
}

}  // namespace MTL_ISA
}  // namespace mtl
