// Vectors of float32 as wide as the instruction set being compiled for, and how elements of
// float32, bfloat16 and float16 are read into them and written from them.
//
// Included only by sources that are compiled once per instruction set (cpu_dispatch.h). No
// templates of the standard library: the linker would keep one copy for all instruction sets, and
// the copy might be one that an older CPU cannot run.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/dtype.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mtl {
namespace MTL_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Bits __attribute__((vector_size(kLanes * 4)));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
typedef double Doubles __attribute__((vector_size(kLanes * 8)));

inline Floats Broadcast(float value) { return value - Floats{}; }
inline Floats Abs(Floats x) {
  return reinterpret_cast<Floats>(reinterpret_cast<Bits>(x) << 1 >> 1);
}

template <typename Vector>
inline Vector LoadUnaligned(const void* address) {
  Vector vector;
  std::memcpy(&vector, address, sizeof(vector));
  return vector;
}

template <typename Vector>
inline void StoreUnaligned(void* address, Vector vector) {
  std::memcpy(address, &vector, sizeof(vector));
}

// Each element type offers
//   Load(elements, e)                 elements [e, e + kLanes) as float32
//   Store(elements, e, values)        rounds to nearest even
//   kStreams, Stream(...)             a store past the caches; `elements + e` aligned to the
//   vector,
//                                     ordered before what follows by FinishStream()

inline void FinishStream() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

struct Float32 {
  using Element = float;
  static constexpr bool kStreams = kLanes > 4;
  static Floats Load(const void* elements, int64_t e) {
    return LoadUnaligned<Floats>(static_cast<const float*>(elements) + e);
  }
  static void Store(void* elements, int64_t e, Floats values) {
    StoreUnaligned(static_cast<float*>(elements) + e, values);
  }
  static void Stream(void* elements, int64_t e, Floats values) {
#if defined(__AVX512F__)
    _mm512_stream_ps(static_cast<float*>(elements) + e, values);
#elif defined(__AVX2__)
    _mm256_stream_ps(static_cast<float*>(elements) + e, values);
#else
    Store(elements, e, values);
#endif
  }
};

struct Bfloat16 {
  using Element = uint16_t;
  static constexpr bool kStreams = false;
  static Floats Load(const void* elements, int64_t e) {
    const Halves narrow = LoadUnaligned<Halves>(static_cast<const uint16_t*>(elements) + e);
    return reinterpret_cast<Floats>(__builtin_convertvector(narrow, Bits) << 16);
  }
  static void Store(void* elements, int64_t e, Floats values) {
    const Bits bits = reinterpret_cast<Bits>(values);
    const Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Bits is_nan = reinterpret_cast<Bits>(values != values);
    const Bits quiet = (bits >> 16) | 0x40u;
    StoreUnaligned(static_cast<uint16_t*>(elements) + e,
                   __builtin_convertvector((rounded & ~is_nan) | (quiet & is_nan), Halves));
  }
  static void Stream(void* elements, int64_t e, Floats values) { Store(elements, e, values); }
};

struct Float16 {
  using Element = uint16_t;
  static constexpr bool kStreams = false;
#if defined(__AVX512F__)
  static Floats Load(const void* elements, int64_t e) {
    return _mm512_cvtph_ps(LoadUnaligned<__m256i>(static_cast<const uint16_t*>(elements) + e));
  }
  static void Store(void* elements, int64_t e, Floats values) {
    StoreUnaligned(static_cast<uint16_t*>(elements) + e,
                   _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  }
#elif defined(__AVX2__)
  static Floats Load(const void* elements, int64_t e) {
    return _mm256_cvtph_ps(LoadUnaligned<__m128i>(static_cast<const uint16_t*>(elements) + e));
  }
  static void Store(void* elements, int64_t e, Floats values) {
    StoreUnaligned(static_cast<uint16_t*>(elements) + e,
                   _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  }
#else
  // Without branches. Subnormal numbers become normal ones with a leading bit that is then taken
  // away: frameworks let the processor flush float32's own subnormal numbers to zero.
  static Floats Load(const void* elements, int64_t e) {
    const Bits half = __builtin_convertvector(
        LoadUnaligned<Halves>(static_cast<const uint16_t*>(elements) + e), Bits);
    const Bits shifted = (half & 0x7fffu) << 13;
    const Bits is_small = reinterpret_cast<Bits>((half & 0x7c00u) == 0u);
    const Bits normal = shifted + 0x38000000u;
    const Bits small =
        reinterpret_cast<Bits>(reinterpret_cast<Floats>(shifted + 0x38800000u) - 0x1p-14f);
    const Bits special = reinterpret_cast<Bits>((half & 0x7c00u) == 0x7c00u) & 0x7f800000u;
    return reinterpret_cast<Floats>((normal & ~is_small) | (small & is_small) | special |
                                    ((half & 0x8000u) << 16));
  }
  // Normal numbers are rounded in integer arithmetic; subnormal ones by adding 0.5, whose last bit
  // is float16's smallest step.
  static void Store(void* elements, int64_t e, Floats values) {
    const Bits all = reinterpret_cast<Bits>(values);
    const Bits sign = (all >> 16) & 0x8000u;
    const Bits bits = all & 0x7fffffffu;
    const Bits normal = (bits - 0x38000000u + 0xfffu + ((bits >> 13) & 1u)) >> 13;
    const Bits subnormal =
        reinterpret_cast<Bits>(reinterpret_cast<Floats>(bits) + 0.5f) - 0x3f000000u;
    const Bits is_small = reinterpret_cast<Bits>(bits < 0x38800000u);
    const Bits is_large = reinterpret_cast<Bits>(bits >= 0x477ff000u);
    const Bits is_nan = reinterpret_cast<Bits>(bits > 0x7f800000u);
    Bits half = (subnormal & is_small) | (normal & ~is_small);
    half = (half & ~is_large) | (0x7c00u & is_large) | (0x200u & is_nan);
    StoreUnaligned(static_cast<uint16_t*>(elements) + e,
                   __builtin_convertvector(half | sign, Halves));
  }
#endif
  static void Stream(void* elements, int64_t e, Floats values) { Store(elements, e, values); }
};

// Calls `f` with an object of the type above that reads and writes elements of `type`.
template <typename Function>
inline void WithType(DType type, const Function& f) {
  switch (type) {
    case DType::float32:
      return f(Float32{});
    case DType::bfloat16:
      return f(Bfloat16{});
    case DType::float16:
      return f(Float16{});
    default:  // refused by the op table
      return;
  }
}

// The last `count` < kLanes elements of a row; lanes beyond are zero.
template <typename Type>
inline Floats LoadPart(const void* elements, int64_t e, int64_t count) {
  typename Type::Element part[kLanes] = {};
  std::memcpy(part, static_cast<const typename Type::Element*>(elements) + e,
              count * sizeof(typename Type::Element));
  return Type::Load(part, 0);
}

template <typename Type>
inline void StorePart(void* elements, int64_t e, int64_t count, Floats values) {
  typename Type::Element part[kLanes];
  Type::Store(part, 0, values);
  std::memcpy(static_cast<typename Type::Element*>(elements) + e, part,
              count * sizeof(typename Type::Element));
}

// Calls f(Index<0>{}), f(Index<1>{}), ... f(Index<N - 1>{}): a loop whose index is a constant, so
// that arrays of vectors stay in registers.
template <int I>
struct Index {
  static constexpr int value = I;
};

template <int N, int I = 0, typename Function>
inline __attribute__((always_inline)) void Unroll(const Function& f) {
  if constexpr (I < N) {
    f(Index<I>{});
    Unroll<N, I + 1>(f);
  }
}

}  // namespace MTL_ISA
}  // namespace mtl
