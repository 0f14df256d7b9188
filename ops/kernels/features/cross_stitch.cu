// Cross-stitch on the GPU: every map is read once and written once. The weights of a block's
// channels lie in shared memory.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/device_maps.cuh"
#include "kernels/features/cross_stitch.h"

namespace mtl {
namespace {

constexpr int64_t kMostShares = 512;     // of positions, for the weights' gradient
constexpr int kMostSharedFloats = 8192;  // of a tile's weights
constexpr int kMostTile = 128;           // vectors
constexpr int kGradThreads = 128;        // of the gradient's blocks
constexpr int kMostParts = 50;  // of the weights' gradient that a thread adds up in registers
constexpr int kLanes = 8;       // threads that add up the shares of one weight

struct DeviceMaps {
  const void* inputs[kMaxStitched];
  const void* others[kMaxStitched];
  void* results[kMaxStitched];
};

// Copies the weights [K, K, C] of the block's channels to `tile` [K, K, width].
template <int K>
__device__ inline void LoadWeights(const float* weights, int64_t channels, int first, int width,
                                   float* tile) {
  for (int n = threadIdx.x; n < K * K * width; n += blockDim.x) {
    const int w = n / width, c = first + n - w * width;
    tile[n] = c < channels ? weights[w * channels + c] : 0.0f;
  }
  __syncthreads();
}

// The factors of kSize channels that lie side by side in shared memory.
template <int kSize>
__device__ inline void LoadFactors(const float* tile, float (&factors)[kSize]) {
  if constexpr (kSize % 4 == 0) {
#pragma unroll
    for (int n = 0; n < kSize; n += 4) {
      const float4 four = *reinterpret_cast<const float4*>(tile + n);
      factors[n] = four.x;
      factors[n + 1] = four.y;
      factors[n + 2] = four.z;
      factors[n + 3] = four.w;
    }
  } else {
#pragma unroll
    for (int n = 0; n < kSize; ++n) factors[n] = tile[n];
  }
}

template <typename T, int kSize, int K>
__global__ void __launch_bounds__(kMapThreads)
    StitchKernel(const __grid_constant__ DeviceMaps maps, const float* weights, int64_t positions,
                 int64_t channels, MapTiles tiles) {
  extern __shared__ __align__(16) float tile[];  // [K, K, width]
  const int width = tiles.tile * kSize;
  const MapThread thread(tiles, kSize);
  LoadWeights<K>(weights, channels, blockIdx.y * width, width, tile);
  if (!thread.is_used) return;
#pragma unroll 1
  for (int64_t p = thread.first; p < positions; p += thread.step) {
    const int64_t place = p * channels + thread.column;
    Vector<T, kSize> x[K];
#pragma unroll
    for (int j = 0; j < K; ++j) {
      x[j] = Vector<T, kSize>::Load(static_cast<const T*>(maps.inputs[j]) + place);
    }
#pragma unroll
    for (int i = 0; i < K; ++i) {
      float sums[kSize] = {};
#pragma unroll
      for (int j = 0; j < K; ++j) {
        float factors[kSize], values[kSize];
        LoadFactors<kSize>(tile + (i * K + j) * width + thread.in_tile, factors);
        x[j].Unpack(values);
#pragma unroll
        for (int n = 0; n < kSize; ++n) sums[n] += factors[n] * values[n];
      }
      Vector<T, kSize>::Of(sums).Store(static_cast<T*>(maps.results[i]) + place);
    }
  }
}

// A block has a share of the positions. `sums` [shares, K, K, C] are the shares' parts of the
// weights' gradient.
template <typename T, int kSize, int K>
__global__ void __launch_bounds__(kGradThreads, K <= 3 && sizeof(T) * kSize <= 8 ? 5 : 4)
    StitchGradKernel(const __grid_constant__ DeviceMaps maps, const float* weights,
                     int64_t positions, int64_t channels, MapTiles tiles, double* sums) {
  extern __shared__ __align__(16) float tile[];  // [K, K, width], then [rows, width]
  const int width = tiles.tile * kSize;
  const MapThread thread(tiles, kSize);
  LoadWeights<K>(weights, channels, blockIdx.y * width, width, tile);
  float parts[K * K][kSize] = {};
  for (int64_t p = thread.first; thread.is_used && p < positions; p += thread.step) {
    const int64_t place = p * channels + thread.column;
    Vector<T, kSize> x[K], u[K];
#pragma unroll
    for (int k = 0; k < K; ++k) {
      u[k] = Vector<T, kSize>::Load(static_cast<const T*>(maps.others[k]) + place);
      x[k] = Vector<T, kSize>::Load(static_cast<const T*>(maps.inputs[k]) + place);
    }
#pragma unroll
    for (int j = 0; j < K; ++j) {
      float gradient[kSize] = {}, input[kSize];
      x[j].Unpack(input);
#pragma unroll
      for (int i = 0; i < K; ++i) {
        float factors[kSize], upstream[kSize];
        LoadFactors<kSize>(tile + (i * K + j) * width + thread.in_tile, factors);
        u[i].Unpack(upstream);
#pragma unroll
        for (int n = 0; n < kSize; ++n) {
          gradient[n] += factors[n] * upstream[n];
          parts[i * K + j][n] += upstream[n] * input[n];
        }
      }
      Vector<T, kSize>::Of(gradient).Store(static_cast<T*>(maps.results[j]) + place);
    }
  }
  const int row = static_cast<int>(threadIdx.x) / tiles.tile, first = blockIdx.y * width;
#pragma unroll
  for (int w = 0; w < K * K; ++w) {
    __syncthreads();
    if (thread.is_used) {
#pragma unroll
      for (int n = 0; n < kSize; ++n) tile[row * width + thread.in_tile + n] = parts[w][n];
    }
    __syncthreads();
    for (int c = threadIdx.x; c < width && first + c < channels; c += kGradThreads) {
      double sum = 0;
      for (int r = 0; r < tiles.rows; ++r) sum += tile[r * width + c];
      sums[(static_cast<int64_t>(blockIdx.x) * K * K + w) * channels + first + c] = sum;
    }
  }
}

// Adds up the shares of 32 weights a block, each in kLanes interleaved parts.
__global__ void __launch_bounds__(32 * kLanes)
    AddSharesKernel(const double* sums, int64_t shares, int64_t num_weights, float* result) {
  __shared__ double parts[kLanes][32];
  const int lane = threadIdx.x / 32, column = threadIdx.x % 32;
  const int64_t w = static_cast<int64_t>(blockIdx.x) * 32 + column;
  double sum = 0;
  for (int64_t s = lane; w < num_weights && s < shares; s += kLanes)
    sum += sums[s * num_weights + w];
  parts[lane][column] = sum;
  __syncthreads();
  if (lane != 0 || w >= num_weights) return;
  for (int other = 1; other < kLanes; ++other) sum += parts[other][column];
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

// Calls `f(VectorSize<n>)` for the largest n of kSize, 2 and 1 that all maps allow.
template <typename T, int kSize, typename Function>
CudaStatus WithVectors(const DeviceMaps& maps, int64_t channels, const Function& f) {
  const auto fits = [&](int size) {
    bool all = channels % size == 0;
    for (int k = 0; k < kMaxStitched; ++k) {
      for (const void* map :
           {maps.inputs[k], maps.others[k], const_cast<const void*>(maps.results[k])}) {
        all = all && IsAlignedFor(static_cast<const T*>(map), size);  // null is
      }
    }
    return all;
  };
  if (fits(kSize)) return f(VectorSize<kSize>{});
  if constexpr (kSize > 2) {
    if (fits(2)) return f(VectorSize<2>{});
  }
  return f(VectorSize<1>{});
}

// Elements of a vector, of which K have to fit in registers beside the sums.
template <typename T, int K>
constexpr int StitchSize() {
  return K <= 4 ? Vector<T>::kSize : Vector<T>::kSize / 2;
}

// The same in the gradient, with the parts of K x K weights.
template <typename T, int K>
constexpr int GradSize() {
  int size = Vector<T>::kSize;
  while (size > 2 && K * K * size > kMostParts) size /= 2;
  return size;
}

int MostTile(int num_tasks, int size) {
  return std::max(1, std::min(kMostTile, kMostSharedFloats / (num_tasks * num_tasks * size)));
}

}  // namespace

CudaStatus CrossStitchCuda(const CrossStitchArgs& args, CudaStream stream) {
  if (args.num_positions * args.num_channels == 0) return 0;
  DeviceMaps maps = {};
  for (int k = 0; k < args.num_tasks; ++k) {
    maps.inputs[k] = args.features[k];
    maps.results[k] = args.results[k];
  }
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return WithStitched(args.num_tasks, [&](auto k) {
      constexpr int K = decltype(k)::value;
      const auto launch = [&](auto vector) -> CudaStatus {
        constexpr int kSize = decltype(vector)::value;
        constexpr auto kernel = StitchKernel<T, kSize, K>;
        const MapTiles tiles = MapTiles::Of(args.num_channels, kSize, MostTile(K, kSize));
        const size_t bytes = sizeof(float) * K * K * tiles.tile * kSize;
        kernel<<<tiles.Grid(kernel, args.num_positions, kMostMapBlocks, bytes), kMapThreads, bytes,
                 static_cast<cudaStream_t>(stream)>>>(maps, args.weights, args.num_positions,
                                                      args.num_channels, tiles);
        return cudaGetLastError();
      };
      return WithVectors<T, StitchSize<T, K>()>(maps, args.num_channels, launch);
    });
  });
}

int64_t CrossStitchGradWorkspaceSize(int64_t num_positions, int64_t num_channels, int num_tasks) {
  return NumShares(num_positions) * num_tasks * num_tasks * num_channels;
}

CudaStatus CrossStitchGradCuda(const CrossStitchGradArgs& args, double* workspace,
                               CudaStream stream) {
  if (args.num_channels == 0) return 0;
  const auto on = static_cast<cudaStream_t>(stream);
  DeviceMaps maps = {};
  for (int k = 0; k < args.num_tasks; ++k) {
    maps.inputs[k] = args.features[k];
    maps.others[k] = args.upstream[k];
    maps.results[k] = args.gradients[k];
  }
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return WithStitched(args.num_tasks, [&](auto k) {
      constexpr int K = decltype(k)::value;
      const auto launch = [&](auto vector) -> CudaStatus {
        constexpr int kSize = decltype(vector)::value;
        constexpr auto kernel = StitchGradKernel<T, kSize, K>;
        const MapTiles tiles =
            MapTiles::Of(args.num_channels, kSize, MostTile(K, kSize), kGradThreads);
        const size_t bytes = sizeof(float) * kSize * std::max(K * K * tiles.tile, kGradThreads);
        dim3 grid = tiles.Grid(kernel, args.num_positions, NumShares(args.num_positions), bytes,
                               kGradThreads);
        grid.x = std::max(1u, grid.x);  // no positions: the gradient is zero
        kernel<<<grid, kGradThreads, bytes, on>>>(maps, args.weights, args.num_positions,
                                                  args.num_channels, tiles, workspace);
        const int64_t num_weights = static_cast<int64_t>(K) * K * args.num_channels;
        AddSharesKernel<<<static_cast<unsigned>((num_weights + 31) / 32), 32 * kLanes, 0, on>>>(
            workspace, grid.x, num_weights, args.weight_gradients);
        return cudaGetLastError();
      };
      return WithVectors<T, GradSize<T, K>()>(maps, args.num_channels, launch);
    });
  });
}

}  // namespace mtl
