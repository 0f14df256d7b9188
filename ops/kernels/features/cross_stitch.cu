// Cross-stitch on the GPU: every map is read once and written once.
#include <cuda_runtime_api.h>

#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/device_maps.cuh"
#include "kernels/features/cross_stitch.h"

namespace mtl {
namespace {

constexpr int64_t kMostShares = 256;  // of positions, for the weights' gradient

struct DeviceMaps {
  const void* inputs[kMaxStitched];
  const void* others[kMaxStitched];
  void* results[kMaxStitched];
};

template <typename T, int kSize, int K>
__global__ void __launch_bounds__(kMapThreads)
    StitchKernel(const __grid_constant__ DeviceMaps maps, const float* weights, int64_t positions,
                 int64_t channels) {
  ForEachDeviceVector<kSize>(positions, channels, [&](int64_t p, int64_t c) {
    const int64_t place = p * channels + c;
    DeviceVector<T, kSize> x[K];
#pragma unroll
    for (int j = 0; j < K; ++j) x[j].Load(static_cast<const T*>(maps.inputs[j]) + place);
#pragma unroll
    for (int i = 0; i < K; ++i) {
      DeviceVector<T, kSize> result;
#pragma unroll
      for (int n = 0; n < kSize; ++n) {
        float sum = 0;
#pragma unroll
        for (int j = 0; j < K; ++j) {
          sum += __ldg(weights + (i * K + j) * channels + c + n) * ToFloat(x[j].elements[n]);
        }
        result.elements[n] = FromFloat<T>(sum);
      }
      result.Store(static_cast<T*>(maps.results[i]) + place);
    }
  });
}

// A thread has one channel of a share of the positions; neighbouring threads neighbouring channels.
// `sums` [shares, K, K, C] are the shares' parts of the weights' gradient.
template <typename T, int K>
__global__ void __launch_bounds__(kMapThreads)
    StitchGradKernel(const __grid_constant__ DeviceMaps maps, const float* weights,
                     int64_t positions, int64_t channels, double* sums) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x;
  if (c >= channels) return;
  const int64_t share = blockIdx.y, shares = gridDim.y;
  const int64_t begin = share * positions / shares, end = (share + 1) * positions / shares;
  float factors[K * K], parts[K * K] = {};
#pragma unroll
  for (int w = 0; w < K * K; ++w) factors[w] = weights[w * channels + c];
  for (int64_t p = begin; p < end; ++p) {
    const int64_t place = p * channels + c;
    float u[K];
#pragma unroll
    for (int i = 0; i < K; ++i) u[i] = ToFloat(static_cast<const T*>(maps.others[i])[place]);
#pragma unroll
    for (int j = 0; j < K; ++j) {
      const float x = ToFloat(static_cast<const T*>(maps.inputs[j])[place]);
      float gradient = 0;
#pragma unroll
      for (int i = 0; i < K; ++i) {
        gradient += factors[i * K + j] * u[i];
        parts[i * K + j] += u[i] * x;
      }
      static_cast<T*>(maps.results[j])[place] = FromFloat<T>(gradient);
    }
  }
#pragma unroll
  for (int w = 0; w < K * K; ++w) sums[(share * K * K + w) * channels + c] = parts[w];
}

__global__ void __launch_bounds__(kMapThreads)
    AddSharesKernel(const double* sums, int64_t shares, int64_t num_weights, float* result) {
  const int64_t w = static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x;
  if (w >= num_weights) return;
  double sum = 0;
  for (int64_t s = 0; s < shares; ++s) sum += sums[s * num_weights + w];
  result[w] = static_cast<float>(sum);
}

int64_t NumShares(int64_t positions) {
  return positions < kMostShares ? (positions > 0 ? positions : 1) : kMostShares;
}

static_assert(kMaxStitched <= 8, "WithNumTasks knows up to eight when compiled");

// Calls `f` with NumTasks<K>.
template <typename Function>
CudaStatus WithStitched(int num_tasks, const Function& f) {
  return WithNumTasks(num_tasks, [&](auto k) -> CudaStatus {
    constexpr int K = decltype(k)::value;
    if constexpr (K >= 1 && K <= kMaxStitched) {
      return f(k);
    } else {
      return cudaErrorInvalidValue;
    }
  });
}

}  // namespace

CudaStatus CrossStitchCuda(const CrossStitchArgs& args, CudaStream stream) {
  if (args.num_positions * args.num_channels == 0) return 0;
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int kSize = Vector<T>::kSize;
    bool fits = args.num_channels % kSize == 0;
    DeviceMaps maps = {};
    for (int k = 0; k < args.num_tasks; ++k) {
      maps.inputs[k] = args.features[k];
      maps.results[k] = args.results[k];
      fits = fits && IsAlignedFor(static_cast<const T*>(args.features[k]), kSize) &&
             IsAlignedFor(static_cast<const T*>(args.results[k]), kSize);
    }
    return WithStitched(args.num_tasks, [&](auto k) -> CudaStatus {
      constexpr int K = decltype(k)::value;
      const int64_t elements = args.num_positions * args.num_channels;
      const auto on = static_cast<cudaStream_t>(stream);
      if (fits) {
        StitchKernel<T, kSize, K><<<MapBlocks(elements / kSize), kMapThreads, 0, on>>>(
            maps, args.weights, args.num_positions, args.num_channels);
      } else {
        StitchKernel<T, 1, K><<<MapBlocks(elements), kMapThreads, 0, on>>>(
            maps, args.weights, args.num_positions, args.num_channels);
      }
      return cudaGetLastError();
    });
  });
}

int64_t CrossStitchGradWorkspaceSize(int64_t num_positions, int64_t num_channels, int num_tasks) {
  return NumShares(num_positions) * num_tasks * num_tasks * num_channels;
}

CudaStatus CrossStitchGradCuda(const CrossStitchGradArgs& args, double* workspace,
                               CudaStream stream) {
  if (args.num_channels == 0) return 0;
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    DeviceMaps maps = {};
    for (int k = 0; k < args.num_tasks; ++k) {
      maps.inputs[k] = args.features[k];
      maps.others[k] = args.upstream[k];
      maps.results[k] = args.gradients[k];
    }
    return WithStitched(args.num_tasks, [&](auto k) -> CudaStatus {
      constexpr int K = decltype(k)::value;
      const auto on = static_cast<cudaStream_t>(stream);
      const int64_t shares = NumShares(args.num_positions);
      const auto blocks = [](int64_t threads) {
        return static_cast<unsigned>((threads + kMapThreads - 1) / kMapThreads);
      };
      const dim3 grid(blocks(args.num_channels), static_cast<unsigned>(shares));
      StitchGradKernel<T, K><<<grid, kMapThreads, 0, on>>>(maps, args.weights, args.num_positions,
                                                           args.num_channels, workspace);
      const int64_t num_weights = K * K * args.num_channels;
      AddSharesKernel<<<blocks(num_weights), kMapThreads, 0, on>>>(workspace, shares, num_weights,
                                                                   args.weight_gradients);
      return cudaGetLastError();
    });
  });
}

}  // namespace mtl
