// Elements of float32, bfloat16 and float16 on the device: sixteen bytes at a time, as float32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/gradients/task_gradients.h"

namespace mtl {

__device__ inline float ToFloat(float x) { return x; }
__device__ inline float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float ToFloat(__half x) { return __half2float(x); }

template <typename T>
__device__ inline T FromFloat(float x);
template <>
__device__ inline float FromFloat<float>(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 FromFloat<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ inline __half FromFloat<__half>(float x) {
  return __float2half_rn(x);
}

// The type of `kBytes` bytes that travel together.
template <int kBytes>
using BytesOf = std::conditional_t<
    kBytes == 16, uint4,
    std::conditional_t<kBytes == 8, uint2,
                       std::conditional_t<kBytes == 4, unsigned, unsigned short>>>;

// The elements in a word of 32 bits, and back: pairs of 16 bits are converted together.
__device__ inline void UnpackWord(unsigned word, const float*, float* values) {
  memcpy(values, &word, 4);
}
__device__ inline void UnpackWord(unsigned word, const __nv_bfloat16*, float* values) {
  const unsigned bits[2] = {word << 16, word & 0xffff0000u};
  memcpy(values, bits, 8);
}
__device__ inline void UnpackWord(unsigned word, const __half*, float* values) {
  __half2 pair;
  memcpy(&pair, &word, 4);
  const float2 both = __half22float2(pair);
  values[0] = both.x;
  values[1] = both.y;
}
__device__ inline unsigned PackWord(const float* values, const float*) {
  unsigned word;
  memcpy(&word, values, 4);
  return word;
}
__device__ inline unsigned PackWord(const float* values, const __nv_bfloat16*) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(values[0], values[1]);
  unsigned word;
  memcpy(&word, &pair, 4);
  return word;
}
__device__ inline unsigned PackWord(const float* values, const __half*) {
  const __half2 pair = __floats2half2_rn(values[0], values[1]);
  unsigned word;
  memcpy(&word, &pair, 4);
  return word;
}

// Neighbouring elements of T, by default sixteen bytes of them, at an address that is a multiple of
// their size.
template <typename T, int kElements = 16 / sizeof(T)>
struct Vector {
  static constexpr int kSize = kElements;
  using Bytes = BytesOf<kSize * sizeof(T)>;
  Bytes bytes;

  // Memory that the kernel does not write: through the cache for such.
  __device__ static Vector Load(const T* address) {
    return {__ldg(reinterpret_cast<const Bytes*>(address))};
  }
  // Memory that is read once and that the kernel may write afterwards. A plain load would be split.
  __device__ static Vector LoadWritable(const T* address) {
    return {__ldcs(reinterpret_cast<const Bytes*>(address))};
  }
  __device__ static Vector Zero() {
    Vector vector;
    memset(&vector, 0, sizeof(vector));
    return vector;
  }
  __device__ static Vector Of(const float (&values)[kSize]) {
    Vector vector;
    if constexpr (sizeof(Bytes) == 2) {
      const T element = FromFloat<T>(values[0]);
      memcpy(&vector.bytes, &element, 2);
    } else {
      unsigned words[kWords];
#pragma unroll
      for (int w = 0; w < kWords; ++w) words[w] = PackWord(values + w * kPerWord, Type());
      memcpy(&vector.bytes, words, sizeof(Bytes));
    }
    return vector;
  }

  __device__ void Unpack(float (&values)[kSize]) const {
    if constexpr (sizeof(Bytes) == 2) {
      T element;
      memcpy(&element, &bytes, 2);
      values[0] = ToFloat(element);
    } else {
      unsigned words[kWords];
      memcpy(words, &bytes, sizeof(Bytes));
#pragma unroll
      for (int w = 0; w < kWords; ++w) UnpackWord(words[w], Type(), values + w * kPerWord);
    }
  }
  // Past the first-level cache. A plain store would be split where its address is a parameter's.
  __device__ void Store(T* address) const { __stcg(reinterpret_cast<Bytes*>(address), bytes); }

 private:
  static constexpr int kPerWord = 4 / sizeof(T);
  static constexpr int kWords = sizeof(Bytes) / 4;
  __device__ static const T* Type() { return nullptr; }
};

// Calls `f` with a null pointer of the device type of `type`.
template <typename Function>
auto WithDeviceType(DType type, const Function& f) {
  if (type == DType::bfloat16) return f(static_cast<__nv_bfloat16*>(nullptr));
  if (type == DType::float16) return f(static_cast<__half*>(nullptr));
  return f(static_cast<float*>(nullptr));
}

template <int K>
struct NumTasks {
  static constexpr int value = K;
};

// Calls `f` with NumTasks<K> for K up to 8, else with NumTasks<0>: known when it runs.
template <typename Function>
auto WithNumTasks(int num_tasks, const Function& f) {
  switch (num_tasks) {
    case 1:
      return f(NumTasks<1>{});
    case 2:
      return f(NumTasks<2>{});
    case 3:
      return f(NumTasks<3>{});
    case 4:
      return f(NumTasks<4>{});
    case 5:
      return f(NumTasks<5>{});
    case 6:
      return f(NumTasks<6>{});
    case 7:
      return f(NumTasks<7>{});
    case 8:
      return f(NumTasks<8>{});
    default:
      return f(NumTasks<0>{});
  }
}

}  // namespace mtl
