// Gramian on the GPU: one pass over memory, sums in a fixed order without atomics.
//
// Up to eight tasks, a thread multiplies its elements of every pair in registers: float32 inside a
// chunk (16 additions), float64 across chunks. With more tasks a block holds 128 columns of all
// rows in shared memory, and a thread owns a tile of 4x4 pairs and a part of the columns. Both
// write one row of partial sums per block (and part); a second kernel adds these up. A row that is
// null is loaded as zeros, and its products are not added: zero times infinity is no number.
#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/tensor_pack.cuh"
#include "kernels/gradients/gramian.h"

namespace mtl {
namespace {

constexpr int kWarps = kThreads / 32;
constexpr int kTile = 4;
constexpr int kColumns = 128;
constexpr int kChain = 32;  // float32 additions before float64 takes over

__host__ __device__ constexpr int NumPairs(int k) { return k * (k + 1) / 2; }
__host__ __device__ constexpr int NumTiles(int num_tasks) {
  return NumPairs((num_tasks + kTile - 1) / kTile);
}

template <int K>
__device__ inline void AddProducts(const float (&values)[K], float (&chain)[NumPairs(K)]) {
#pragma unroll
  for (int i = 0; i < K; ++i) {
#pragma unroll
    for (int j = 0; j <= i; ++j) chain[NumPairs(i) + j] += values[i] * values[j];
  }
}

template <typename T, int K>
__global__ void __launch_bounds__(kThreads)
    GramianKernel(const __grid_constant__ TensorPack pack, double* partial) {
  constexpr int kPairs = NumPairs(K);
  constexpr int kVector = Vector<T>::kSize;
  double totals[kPairs] = {};
  for (int c = blockIdx.x; c < pack.num_chunks; c += gridDim.x) {
    const Chunk chunk = ChunkAt(pack, c);
    const T* rows[K];
#pragma unroll
    for (int k = 0; k < K; ++k) rows[k] = chunk.Row<T>(k);
    float chain[kPairs] = {};
    if (chunk.is_whole) {
#pragma unroll 2
      for (int e = threadIdx.x * kVector; e < kChunkElements; e += kThreads * kVector) {
        Vector<T> vectors[K];
#pragma unroll
        for (int k = 0; k < K; ++k) {
          vectors[k] = rows[k] == nullptr ? Vector<T>::Zero() : Vector<T>::Load(rows[k] + e);
        }
#pragma unroll
        for (int n = 0; n < kVector; ++n) {
          float values[K];
#pragma unroll
          for (int k = 0; k < K; ++k) values[k] = ToFloat(vectors[k].elements[n]);
          AddProducts<K>(values, chain);
        }
      }
    } else {
      for (int e = threadIdx.x; e < chunk.count; e += kThreads) {
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
  for (int p = threadIdx.x; p < kPairs; p += kThreads) {
    double sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += by_warp[w][p];
    partial[static_cast<int64_t>(blockIdx.x) * kPairs + p] = sum;
  }
}

// Tile t of the lower triangle of tiles is in row RowOfTile(t).
__device__ inline int RowOfTile(int tile) {
  int row = 0;
  while (NumPairs(row + 1) <= tile) ++row;
  return row;
}

// The pairs of a tile whose rows both exist: bit 4 i + j for rows (i, j) of the tile.
template <typename T>
__device__ inline unsigned PresentPairs(const Chunk& chunk, int num_tasks, int row, int column) {
  const auto is_there = [&](int task) { return task < num_tasks && chunk.Row<T>(task) != nullptr; };
  unsigned present = 0;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    if (!is_there(row * kTile + i)) continue;
#pragma unroll
    for (int j = 0; j < kTile; ++j) present |= is_there(column * kTile + j) << (i * kTile + j);
  }
  return present;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    WideGramianKernel(const __grid_constant__ TensorPack pack, double* partial) {
  extern __shared__ float columns[];  // [rows, kColumns], rows a multiple of kTile
  constexpr int kVector = Vector<T>::kSize;
  const int num_rows = (pack.num_tasks + kTile - 1) / kTile * kTile;
  const int num_tiles = NumTiles(pack.num_tasks);
  const int num_parts = kThreads / num_tiles;
  const int tile = threadIdx.x % num_tiles, part = threadIdx.x / num_tiles;
  const int row = RowOfTile(tile), column = tile - NumPairs(row);
  const float* left = columns + row * kTile * kColumns;
  const float* right = columns + column * kTile * kColumns;
  double totals[kTile][kTile] = {};
  for (int c = blockIdx.x; c < pack.num_chunks; c += gridDim.x) {
    const Chunk chunk = ChunkAt(pack, c);
    const unsigned present = PresentPairs<T>(chunk, pack.num_tasks, row, column);
    for (int begin = 0; begin < chunk.count; begin += kColumns) {
      __syncthreads();
      for (int n = threadIdx.x * kVector; n < num_rows * kColumns; n += kThreads * kVector) {
        const int task = n / kColumns, e = begin + n % kColumns;
        const T* values = task < pack.num_tasks ? chunk.Row<T>(task) : nullptr;
        Vector<T> vector = Vector<T>::Zero();
        if (values != nullptr && chunk.is_whole) {
          vector = Vector<T>::Load(values + e);
        } else if (values != nullptr) {
#pragma unroll
          for (int m = 0; m < kVector; ++m) {
            if (e + m < chunk.count) vector.elements[m] = values[e + m];
          }
        }
#pragma unroll
        for (int m = 0; m < kVector; ++m) columns[n + m] = ToFloat(vector.elements[m]);
      }
      __syncthreads();
      if (part >= num_parts) continue;
      for (int first = part; first < kColumns; first += kChain * num_parts) {
        float chain[kTile][kTile] = {};
        const int stop = min(first + kChain * num_parts, kColumns);
        for (int e = first; e < stop; e += num_parts) {
          float a[kTile], b[kTile];
#pragma unroll
          for (int i = 0; i < kTile; ++i) {
            a[i] = left[i * kColumns + e];
            b[i] = right[i * kColumns + e];
          }
#pragma unroll
          for (int i = 0; i < kTile; ++i) {
#pragma unroll
            for (int j = 0; j < kTile; ++j) chain[i][j] += a[i] * b[j];
          }
        }
#pragma unroll
        for (int i = 0; i < kTile; ++i) {
#pragma unroll
          for (int j = 0; j < kTile; ++j) {
            if (present >> (i * kTile + j) & 1) totals[i][j] += chain[i][j];
          }
        }
      }
    }
  }
  if (part >= num_parts) return;
  double* sums = partial +
                 (static_cast<int64_t>(blockIdx.x) * num_parts + part) * num_tiles * kTile * kTile +
                 tile * kTile * kTile;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
#pragma unroll
    for (int j = 0; j < kTile; ++j) sums[i * kTile + j] = totals[i][j];
  }
}

// gramian[i, j] = gramian[j, i] = sum over rows of partial[row, place of (i, j)]; a warp per pair.
__global__ void AddPartials(const double* partial, int64_t num_rows, int num_tasks, bool is_wide,
                            double* gramian) {
  const int width = is_wide ? NumTiles(num_tasks) * kTile * kTile : NumPairs(num_tasks);
  const int lane = threadIdx.x % 32;
  const int pair = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  if (pair >= NumPairs(num_tasks)) return;
  const int i = RowOfTile(pair), j = pair - NumPairs(i);
  const int place =
      is_wide ? (NumPairs(i / kTile) + j / kTile) * kTile * kTile + i % kTile * kTile + j % kTile
              : pair;
  double sum = 0;
  for (int64_t row = lane; row < num_rows; row += 32) sum += partial[row * width + place];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (lane == 0) gramian[i * num_tasks + j] = gramian[j * num_tasks + i] = sum;
}

int NumParts(int num_tasks) { return kThreads / NumTiles(num_tasks); }
int64_t PartialWidth(int num_tasks) {
  return num_tasks <= 8
             ? NumPairs(num_tasks)
             : static_cast<int64_t>(NumParts(num_tasks)) * NumTiles(num_tasks) * kTile * kTile;
}

// Launches over one pack; returns the number of blocks in `grid`.
template <typename T, int K>
CudaStatus LaunchPack(const TensorPack& pack, double* partial, cudaStream_t stream, int* grid) {
  if constexpr (K > 0) {
    *grid = GridSize(GramianKernel<T, K>, pack.num_chunks);
    GramianKernel<T, K><<<*grid, kThreads, 0, stream>>>(pack, partial);
  } else {
    const int num_rows = (pack.num_tasks + kTile - 1) / kTile * kTile;
    const size_t bytes = sizeof(float) * num_rows * kColumns;
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
      workspace, num_blocks * (is_wide ? NumParts(num_tasks) : 1), num_tasks, is_wide,
      args.gramian);
  return cudaGetLastError();
}

}  // namespace mtl
