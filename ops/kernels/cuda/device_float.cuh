// Elements of float32, bfloat16 and float16 on the device: sixteen bytes at a time, as float32.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>

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

// Sixteen bytes of T.
template <typename T>
struct Vector {
  static constexpr int kSize = 16 / sizeof(T);
  T elements[kSize];

  // Memory that the kernel does not write: through the cache for such.
  __device__ static Vector Load(const T* address) {
    return Of(__ldg(reinterpret_cast<const uint4*>(address)));
  }
  // Memory that is read once and that the kernel may write afterwards. A plain load would be split.
  __device__ static Vector LoadWritable(const T* address) {
    return Of(__ldcs(reinterpret_cast<const uint4*>(address)));
  }
  __device__ static Vector Zero() { return Of(make_uint4(0, 0, 0, 0)); }
  // Past the first-level cache. A plain store would be split where its address is a parameter's.
  __device__ void Store(T* address) const {
    uint4 bytes;
    memcpy(&bytes, this, 16);
    __stcg(reinterpret_cast<uint4*>(address), bytes);
  }

 private:
  __device__ static Vector Of(const uint4& bytes) {
    Vector vector;
    memcpy(&vector, &bytes, 16);
    return vector;
  }
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
