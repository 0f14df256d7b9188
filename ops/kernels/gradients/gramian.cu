// Gramian on the GPU: one pass over memory, sums in a fixed order without atomics.
//
// Up to eight tasks, a thread multiplies its elements of every pair in registers: float32 inside a
// chunk (16 additions), float64 across chunks. With more tasks a block holds 128 columns of all
// rows in shared memory, and a thread owns a tile of 4x4 pairs and a part of the columns. Both
// write one row of partial sums per block; a second kernel adds these up. A row that is null is
// loaded as zeros, and its products are not added: zero times infinity is no number.
#include <algorithm>

#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/tensor_pack.cuh"
#include "kernels/gradients/gramian.h"
#include "kernels/gradients/gramian_wide.cuh"

namespace mtl {
namespace {

constexpr int kWarps = kThreads / 32;

template <int K>
__device__ inline void AddProducts(const float (&values)[K], float (&chain)[NumPairs(K)]) {
#pragma unroll
  for (int i = 0; i < K; ++i) {
#pragma unroll
    for (int j = 0; j <= i; ++j) chain[NumPairs(i) + j] += values[i] * values[j];
  }
}

// Threads of a block, and whether their totals lie in shared memory: more than five tasks leave no
// registers for them beside the products and the rows.
template <int K>
constexpr bool kSharesTotals = K > 5;
template <int K>
constexpr int kBlockThreads = kSharesTotals<K> ? kThreads / 2 : kThreads;

// The float64 sums of one thread.
template <int K>
struct Totals {
  double own[kSharesTotals<K> ? 1 : NumPairs(K)] = {};
  double* shared;  // [pairs, threads]

  __device__ explicit Totals(double* memory) : shared(memory) {
    if (!kSharesTotals<K>) return;
    for (int p = 0; p < NumPairs(K); ++p) (*this)[p] = 0;
  }
  __device__ double& operator[](int pair) {
    if constexpr (kSharesTotals<K>) {
      return shared[pair * kBlockThreads<K> + threadIdx.x];
    } else {
      return own[pair];
    }
  }
};

template <typename T, int K>
__global__ void __launch_bounds__(kBlockThreads<K>, kSharesTotals<K> ? 4 : 2)
    GramianKernel(const __grid_constant__ TensorPack pack, double* partial) {
  constexpr int kPairs = NumPairs(K), kBlock = kBlockThreads<K>;
  constexpr int kVector = Vector<T>::kSize;
  __shared__ double shared_totals[kSharesTotals<K> ? kPairs * kBlock : 1];
  Totals<K> totals(shared_totals);
  for (int c = blockIdx.x; c < pack.num_chunks; c += gridDim.x) {
    const Chunk chunk = ChunkAt(pack, c);
    const T* rows[K];
#pragma unroll
    for (int k = 0; k < K; ++k) rows[k] = chunk.Row<T>(k);
    float chain[kPairs] = {};
    if (chunk.is_whole) {
#pragma unroll(kSharesTotals<K> ? 1 : 2)
      for (int e = threadIdx.x * kVector; e < kChunkElements; e += kBlock * kVector) {
        Vector<T> vectors[K];
#pragma unroll
        for (int k = 0; k < K; ++k) {
          vectors[k] = rows[k] == nullptr ? Vector<T>::Zero() : Vector<T>::Load(rows[k] + e);
        }
        float elements[K][kVector];
#pragma unroll
        for (int k = 0; k < K; ++k) vectors[k].Unpack(elements[k]);
#pragma unroll
        for (int n = 0; n < kVector; ++n) {
          float values[K];
#pragma unroll
          for (int k = 0; k < K; ++k) values[k] = elements[k][n];
          AddProducts<K>(values, chain);
        }
      }
    } else {
      for (int e = threadIdx.x; e < chunk.count; e += kBlock) {
        float values[K];
#pragma unroll
        for (int k = 0; k < K; ++k) values[k] = rows[k] == nullptr ? 0.0f : ToFloat(rows[k][e]);
        AddProducts<K>(values, chain);
      }
    }
#pragma unroll
    for (int i = 0; i < K; ++i) {
#pragma unroll
      for (int j = 0; j <= i; ++j) {
        if (chunk.Row<T>(i) == nullptr || chunk.Row<T>(j) == nullptr) continue;
        totals[NumPairs(i) + j] += chain[NumPairs(i) + j];
      }
    }
  }
  __shared__ double by_warp[kWarps][kPairs];
#pragma unroll
  for (int p = 0; p < kPairs; ++p) {
    double sum = totals[p];
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (threadIdx.x % 32 == 0) by_warp[threadIdx.x / 32][p] = sum;
  }
  __syncthreads();
  for (int p = threadIdx.x; p < kPairs; p += kBlock) {
    double sum = 0;
    for (int w = 0; w < kBlock / 32; ++w) sum += by_warp[w][p];
    partial[static_cast<int64_t>(blockIdx.x) * kPairs + p] = sum;
  }
}

// gramian[i, j] = gramian[j, i] = sum over rows of partial[row, place of (i, j)]; a warp per pair.
__global__ void AddPartials(const double* partial, int64_t num_rows, int num_tasks, bool is_wide,
                            double* gramian) {
  const int width = is_wide ? NumTiles(num_tasks) * kTile * kTile : NumPairs(num_tasks);
  const int lane = threadIdx.x % 32;
  const int pair = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  if (pair >= NumPairs(num_tasks)) return;
  const int i = RowOf(pair), j = pair - NumPairs(i);
  const int place = is_wide ? WidePlace(i, j, num_tasks) : pair;
  double sum = 0;
  for (int64_t row = lane; row < num_rows; row += 32) sum += partial[row * width + place];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (lane == 0) gramian[i * num_tasks + j] = gramian[j * num_tasks + i] = sum;
}

int64_t PartialWidth(int num_tasks) {
  return num_tasks <= 8 ? NumPairs(num_tasks) : NumTiles(num_tasks) * kTile * kTile;
}

// Launches over one pack; returns the number of blocks in `grid`.
template <typename T, int K>
CudaStatus LaunchPack(const TensorPack& pack, double* partial, cudaStream_t stream, int* grid) {
  if constexpr (K > 0) {
    *grid = std::min(pack.num_chunks, BlocksAtOnce(GramianKernel<T, K>, kBlockThreads<K>, 0));
    GramianKernel<T, K><<<*grid, kBlockThreads<K>, 0, stream>>>(pack, partial);
  } else {
    const size_t bytes = WideSharedBytes(pack.num_tasks);
    *grid = GridSize(WideGramianKernel<T>, pack.num_chunks, bytes);
    WideGramianKernel<T><<<*grid, kThreads, bytes, stream>>>(pack, partial);
  }
  return cudaGetLastError();
}

}  // namespace

int64_t GramianWorkspaceSize(const TaskGradients& gradients) {
  return NumPacks(gradients) * MaxGridSize() * PartialWidth(gradients.num_tasks);
}

CudaStatus GramianCuda(const GramianArgs& args, double* workspace, CudaStream caller_stream) {
  const auto stream = static_cast<cudaStream_t>(caller_stream);
  const int num_tasks = args.gradients.num_tasks;
  const bool is_wide = num_tasks > 8;
  int64_t num_blocks = 0;
  const CudaStatus status =
      ForEachPack(args.gradients, nullptr, nullptr, [&](const TensorPack& pack) {
        double* partial = workspace + num_blocks * PartialWidth(num_tasks);
        int grid = 0;
        const CudaStatus launched = WithDeviceType(args.gradients.type, [&](auto* type) {
          using T = std::remove_pointer_t<decltype(type)>;
          return WithNumTasks(num_tasks, [&](auto k) {
            return LaunchPack<T, decltype(k)::value>(pack, partial, stream, &grid);
          });
        });
        num_blocks += grid;
        return launched;
      });
  if (status != 0) return status;
  const int warps = NumPairs(num_tasks);
  AddPartials<<<(warps + kWarps - 1) / kWarps, kThreads, 0, stream>>>(
      workspace, num_blocks, num_tasks, is_wide, args.gramian);
  return cudaGetLastError();
}

}  // namespace mtl
