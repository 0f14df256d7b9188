// Walks feature maps on the device: vectors of up to sixteen bytes of neighbouring channels.
#pragma once

#include <cstdint>

#include "kernels/cuda/device_float.cuh"

namespace mtl {

constexpr int kMapThreads = 256;
constexpr int64_t kMostMapBlocks = 16384;

template <int kElements>
struct VectorSize {
  static constexpr int value = kElements;
};

// kSize elements: sixteen bytes, or one element where maps are not aligned.
template <typename T, int kSize>
struct DeviceVector {
  T elements[kSize];

  __device__ void Load(const T* address) {
    if constexpr (kSize == 1) {
      elements[0] = *address;
    } else {
      const Vector<T> vector = Vector<T>::Load(address);
#pragma unroll
      for (int n = 0; n < kSize; ++n) elements[n] = vector.elements[n];
    }
  }
  __device__ void Store(T* address) const {
    if constexpr (kSize == 1) {
      *address = elements[0];
    } else {
      Vector<T> vector;
#pragma unroll
      for (int n = 0; n < kSize; ++n) vector.elements[n] = elements[n];
      vector.Store(address);
    }
  }
};

template <typename T>
bool IsAlignedFor(const T* address, int size) {
  return reinterpret_cast<uintptr_t>(address) % (size * sizeof(T)) == 0;
}

inline int MapBlocks(int64_t vectors) {
  const int64_t blocks = (vectors + kMapThreads - 1) / kMapThreads;
  return static_cast<int>(blocks < kMostMapBlocks ? blocks : kMostMapBlocks);
}

// Calls `f(position, channel)` for the vectors of this thread; the blocks of a grid walk a map
// together.
template <int kSize, typename Function>
__device__ inline void ForEachDeviceVector(int64_t positions, int64_t channels, const Function& f) {
  const int64_t per_row = channels / kSize, vectors = positions * per_row;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kMapThreads;
  for (int64_t v = static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x; v < vectors;
       v += step) {
    const int64_t p = v / per_row;
    f(p, (v - p * per_row) * kSize);
  }
}

}  // namespace mtl
