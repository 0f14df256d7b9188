// Weighted sum on the GPU: every element of every gradient is read once, every sum written once,
// possibly into the memory of a gradient: a thread reads an element of all tasks before it writes
// it.
#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/tensor_pack.cuh"
#include "kernels/gradients/weighted_sum.h"

namespace mtl {
namespace {

template <typename T, int K>
__global__ void __launch_bounds__(kThreads)
    WeightedSumKernel(const __grid_constant__ TensorPack pack, const double* weights) {
  constexpr int kVector = Vector<T>::kSize;
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
#pragma unroll 2
      for (int e = threadIdx.x * kVector; e < kChunkElements; e += kThreads * kVector) {
        float sums[kVector] = {};
#pragma unroll(K > 0 ? K : 4)
        for (int k = 0; k < num_tasks; ++k) {
          const T* row = chunk.Row<T>(k);
          if (row == nullptr) continue;
          const Vector<T> vector = Vector<T>::LoadWritable(row + e);
#pragma unroll
          for (int n = 0; n < kVector; ++n) sums[n] += factors[k] * ToFloat(vector.elements[n]);
        }
        Vector<T> vector;
#pragma unroll
        for (int n = 0; n < kVector; ++n) vector.elements[n] = FromFloat<T>(sums[n]);
        vector.Store(result + e);
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
