// Weighted sum on the GPU: every element of every gradient is read once, every sum written once,
// possibly into the memory of a gradient: a thread reads an element of all tasks before it writes
// it.
#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/tensor_pack.cuh"
#include "kernels/gradients/weighted_sum.h"

namespace mtl {
namespace {

constexpr int kMostHeld = 8;  // rows loaded before the first is added

// Adds rows [first, first + N) of a chunk, times their factors, to `sums`. All are loaded before
// one is used, so that their latencies overlap.
template <int N, typename T>
__device__ inline void AddRows(const Chunk& chunk, const float* factors, int first, int count,
                               int e, float (&sums)[Vector<T>::kSize]) {
  Vector<T> rows[N];
  float scale[N];
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const T* row = k < count ? chunk.Row<T>(first + k) : nullptr;
    rows[k] = row == nullptr ? Vector<T>::Zero() : Vector<T>::LoadWritable(row + e);
    scale[k] = row == nullptr ? 0.0f : factors[first + k];  // nothing times infinity is nothing
  }
#pragma unroll
  for (int k = 0; k < N; ++k) {
    float values[Vector<T>::kSize];
    rows[k].Unpack(values);
#pragma unroll
    for (int n = 0; n < Vector<T>::kSize; ++n) sums[n] += scale[k] * values[n];
  }
}

template <typename T, int K>
__global__ void __launch_bounds__(kThreads)
    WeightedSumKernel(const __grid_constant__ TensorPack pack, const double* weights) {
  constexpr int kVector = Vector<T>::kSize;
  constexpr int kHeld = K > 0 ? K : kMostHeld;
  __shared__ float factors[kMaxTasks];
  const int num_tasks = K > 0 ? K : pack.num_tasks;
  for (int k = threadIdx.x; k < num_tasks; k += kThreads) {
    factors[k] = static_cast<float>(weights[k]);
  }
  __syncthreads();
  for (int c = blockIdx.x; c < pack.num_chunks; c += gridDim.x) {
    const Chunk chunk = ChunkAt(pack, c);
    T* result = chunk.Result<T>();
    if (chunk.is_whole) {
      for (int e = threadIdx.x * kVector; e < kChunkElements; e += kThreads * kVector) {
        float sums[kVector] = {};
        for (int first = 0; first < num_tasks; first += kHeld) {
          AddRows<kHeld, T>(chunk, factors, first, num_tasks - first, e, sums);
        }
        Vector<T>::Of(sums).Store(result + e);
      }
    } else {
      for (int e = threadIdx.x; e < chunk.count; e += kThreads) {
        float sum = 0;
        for (int k = 0; k < num_tasks; ++k) {
          const T* row = chunk.Row<T>(k);
          if (row != nullptr) sum += factors[k] * ToFloat(row[e]);
        }
        result[e] = FromFloat<T>(sum);
      }
    }
  }
}

}  // namespace

CudaStatus WeightedSumCuda(const WeightedSumArgs& args, CudaStream stream) {
  return ForEachPack(args.gradients, args.sums, nullptr, [&](const TensorPack& pack) {
    return WithDeviceType(args.gradients.type, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      return WithNumTasks(args.gradients.num_tasks, [&](auto k) -> CudaStatus {
        constexpr auto kernel = WeightedSumKernel<T, decltype(k)::value>;
        kernel<<<GridSize(kernel, pack.num_chunks), kThreads, 0,
                 static_cast<cudaStream_t>(stream)>>>(pack, args.weights);
        return cudaGetLastError();
      });
    });
  });
}

}  // namespace mtl
