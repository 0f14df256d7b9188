// How many blocks of a kernel the device runs at once.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>

namespace mtl {

inline int NumMultiprocessors() {
  int device = 0, count = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

// Blocks of a kernel that run at once.
template <typename Kernel>
int BlocksAtOnce(Kernel kernel, int threads, size_t shared_bytes) {
  int per_multiprocessor = 1;
  if (cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, kernel, threads,
                                                    shared_bytes) != cudaSuccess) {
    cudaGetLastError();  // the launch says better what is wrong
  }
  return std::max(1, per_multiprocessor) * NumMultiprocessors();
}

}  // namespace mtl
