// Many tensors in one launch: their addresses travel as a kernel parameter, so nothing is copied to
// the device first and the launch can be captured in a CUDA graph.
//
// Tensors are cut into chunks of 4096 elements; a block walks the chunks blockIdx, blockIdx + grid,
// ... of its launch, so which block adds what is fixed by the sizes and the device alone.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/occupancy.cuh"
#include "kernels/cuda/stream.h"
#include "kernels/gradients/task_gradients.h"

namespace mtl {

constexpr int kThreads = 256;
constexpr int64_t kChunkElements = 4096;

// Kernel parameters hold 4 KB, since CUDA 12.1 (compute capability 7.0) 32 KB.
#if CUDART_VERSION >= 12010
constexpr int kPackWords = 4000;
#else
constexpr int kPackWords = 480;
#endif

struct TensorPack {
  int num_tasks;
  int num_tensors;
  int num_chunks;
  int64_t words[kPackWords];  // per tensor: kHeader words, then the address of each task's gradient

  static constexpr int kHeader = 5;  // first chunk, size, is aligned, result, random numbers

  __host__ __device__ int stride() const { return kHeader + num_tasks; }
  __host__ __device__ const int64_t* Tensor(int t) const { return words + t * stride(); }
};

// One chunk, as every thread of its block sees it.
struct Chunk {
  const int64_t* tensor;
  int64_t begin;
  int count;
  bool is_whole;  // 4096 elements at addresses that are multiples of 16

  template <typename T>
  __device__ const T* Row(int task) const {  // null: zero
    const T* row = reinterpret_cast<const T*>(tensor[TensorPack::kHeader + task]);
    return row == nullptr ? nullptr : row + begin;
  }
  template <typename T>
  __device__ T* Result() const {
    return reinterpret_cast<T*>(tensor[3]) + begin;
  }
  __device__ const float* Uniform() const {
    return reinterpret_cast<const float*>(tensor[4]) + begin;
  }
};

__device__ inline Chunk ChunkAt(const TensorPack& pack, int chunk) {
  int first = 0, last = pack.num_tensors - 1;
  while (first < last) {
    const int middle = (first + last + 1) / 2;
    if (pack.Tensor(middle)[0] <= chunk) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  const int64_t* tensor = pack.Tensor(first);
  const int64_t begin = (chunk - tensor[0]) * kChunkElements;
  const int64_t left = tensor[1] - begin;
  const int count = static_cast<int>(left < kChunkElements ? left : kChunkElements);
  return {tensor, begin, count, count == kChunkElements && tensor[2] != 0};
}

// Calls `launch(pack)` for as many packs as the tensors need; stops at the first error. `results`
// and `uniform` may be null.
template <typename Launch>
CudaStatus ForEachPack(const TaskGradients& gradients, void* const* results,
                       const float* const* uniform, const Launch& launch) {
  TensorPack pack;
  pack.num_tasks = gradients.num_tasks;
  pack.num_tensors = 0;
  pack.num_chunks = 0;
  const int capacity = kPackWords / pack.stride();
  for (int v = 0; v < gradients.num_tensors; ++v) {
    const int64_t size = gradients.sizes[v];
    if (size == 0) continue;
    int64_t* words = pack.words + pack.num_tensors * pack.stride();
    words[0] = pack.num_chunks;
    words[1] = size;
    words[3] = results == nullptr ? 0 : reinterpret_cast<int64_t>(results[v]);
    words[4] = uniform == nullptr ? 0 : reinterpret_cast<int64_t>(uniform[v]);
    int64_t addresses = words[3] | words[4];
    for (int k = 0; k < gradients.num_tasks; ++k) {
      const void* row = gradients.gradients[static_cast<int64_t>(k) * gradients.num_tensors + v];
      words[TensorPack::kHeader + k] = reinterpret_cast<int64_t>(row);
      addresses |= reinterpret_cast<int64_t>(row);
    }
    words[2] = addresses % 16 == 0;
    pack.num_chunks += static_cast<int>((size + kChunkElements - 1) / kChunkElements);
    if (++pack.num_tensors < capacity) continue;
    const CudaStatus status = launch(pack);
    if (status != 0) return status;
    pack.num_tensors = 0;
    pack.num_chunks = 0;
  }
  return pack.num_tensors == 0 ? 0 : launch(pack);
}

inline int NumPacks(const TaskGradients& gradients) {
  const int capacity = kPackWords / (TensorPack::kHeader + gradients.num_tasks);
  int tensors = 0;
  for (int v = 0; v < gradients.num_tensors; ++v) tensors += gradients.sizes[v] > 0;
  return (tensors + capacity - 1) / capacity;
}

// Blocks for a kernel over `num_chunks` chunks: as many as run at once.
template <typename Kernel>
int GridSize(Kernel kernel, int num_chunks, size_t shared_bytes = 0) {
  return std::min(num_chunks, BlocksAtOnce(kernel, kThreads, shared_bytes));
}

// The greatest GridSize on this device: 2048 threads run on a multiprocessor at once.
inline int MaxGridSize() { return NumMultiprocessors() * (2048 / kThreads); }

}  // namespace mtl
