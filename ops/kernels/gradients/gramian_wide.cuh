// The Gramian of more than eight tasks: a block holds columns of all rows in shared memory, and a
// thread owns a tile of 4x4 pairs and a part of the columns.
#pragma once

#include <algorithm>

#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/tensor_pack.cuh"

namespace mtl {

constexpr int kTile = 4;
constexpr int kColumns = 128;
constexpr int kStride = kColumns + 4;  // of a row in shared memory: the next row, the next banks
constexpr int kChain = 32;             // float32 additions before float64 takes over

__host__ __device__ constexpr int NumPairs(int k) { return k * (k + 1) / 2; }
__host__ __device__ constexpr int NumClasses(int num_tasks) {
  return (num_tasks + kTile - 1) / kTile;
}
__host__ __device__ constexpr int NumTiles(int num_tasks) {
  return NumPairs(NumClasses(num_tasks));
}

// Place p of a lower triangle, row by row, is in row RowOf(p).
__device__ inline int RowOf(int place) {
  int row = 0;
  while (NumPairs(row + 1) <= place) ++row;
  return row;
}

// The rows of a tile are kTile tasks, `classes` apart: neighbouring tiles have neighbouring rows,
// which lie in other banks of shared memory.
struct GramianTile {
  int row, column, classes;  // the first task on either side

  __device__ GramianTile(int tile, int num_tasks) {
    classes = NumClasses(num_tasks);
    row = RowOf(tile);
    column = tile - NumPairs(row);
  }
  __device__ int Row(int i) const { return row + i * classes; }
  __device__ int Column(int j) const { return column + j * classes; }
};

// The pairs of a tile whose rows both exist: bit kTile i + j.
template <typename T>
__device__ inline unsigned PresentPairs(const Chunk& chunk, int num_tasks,
                                        const GramianTile& tile) {
  const auto is_there = [&](int task) { return task < num_tasks && chunk.Row<T>(task) != nullptr; };
  unsigned present = 0;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    if (!is_there(tile.Row(i))) continue;
#pragma unroll
    for (int j = 0; j < kTile; ++j) present |= is_there(tile.Column(j)) << (i * kTile + j);
  }
  return present;
}

// A vector of a row from element e on; zeros past the end of the chunk.
template <typename T>
__device__ inline Vector<T> LoadPart(const T* row, const Chunk& chunk, int e) {
  float values[Vector<T>::kSize];
#pragma unroll
  for (int m = 0; m < Vector<T>::kSize; ++m) {
    values[m] = e + m < chunk.count ? ToFloat(row[e + m]) : 0.0f;
  }
  return Vector<T>::Of(values);
}

// Fills `columns` with kColumns elements from `begin` on of all rows. A thread loads kHeld vectors
// before it stores one.
template <typename T, bool kIsWhole>
__device__ inline void LoadColumns(const Chunk& chunk, int num_tasks, int begin, float* columns) {
  constexpr int kVector = Vector<T>::kSize, kHeld = 4;
  constexpr int kRowVectors = kColumns / kVector, kRowsAtOnce = kThreads / kRowVectors;
  const int num_rows = NumClasses(num_tasks) * kTile;
  const int column = threadIdx.x % kRowVectors * kVector;
  for (int first = threadIdx.x / kRowVectors; first < num_rows; first += kHeld * kRowsAtOnce) {
    Vector<T> held[kHeld];
#pragma unroll
    for (int h = 0; h < kHeld; ++h) {
      const int task = first + h * kRowsAtOnce;
      const T* row = task < num_tasks ? chunk.Row<T>(task) : nullptr;
      if constexpr (kIsWhole) {
        held[h] = row == nullptr ? Vector<T>::Zero() : Vector<T>::Load(row + begin + column);
      } else {
        held[h] = row == nullptr ? Vector<T>::Zero() : LoadPart(row, chunk, begin + column);
      }
    }
#pragma unroll
    for (int h = 0; h < kHeld; ++h) {
      const int row = first + h * kRowsAtOnce;
      if (row >= num_rows) break;
      float values[kVector];
      held[h].Unpack(values);
#pragma unroll
      for (int m = 0; m < kVector; m += 4) {
        *reinterpret_cast<float4*>(columns + row * kStride + column + m) =
            make_float4(values[m], values[m + 1], values[m + 2], values[m + 3]);
      }
    }
  }
}

// Adds the products of four columns of the tile's rows.
__device__ inline void AddTile(const float* columns, const GramianTile& tile, int e,
                               float (&chain)[kTile][kTile]) {
  float4 left[kTile], right[kTile];
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    left[i] = *reinterpret_cast<const float4*>(columns + tile.Row(i) * kStride + e);
    right[i] = *reinterpret_cast<const float4*>(columns + tile.Column(i) * kStride + e);
  }
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
#pragma unroll
    for (int j = 0; j < kTile; ++j) {
      chain[i][j] += left[i].x * right[j].x;
      chain[i][j] += left[i].y * right[j].y;
      chain[i][j] += left[i].z * right[j].z;
      chain[i][j] += left[i].w * right[j].w;
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads, 2)
    WideGramianKernel(const __grid_constant__ TensorPack pack, double* partial) {
  // The columns, [rows, kStride]; at the end the sums of the tiles as doubles.
  extern __shared__ __align__(16) float memory[];
  float* columns = memory;
  const int num_tiles = NumTiles(pack.num_tasks);
  const int num_parts = kThreads / num_tiles;
  const int index = threadIdx.x % num_tiles, part = threadIdx.x / num_tiles;
  const GramianTile tile(index, pack.num_tasks);
  double totals[kTile][kTile] = {};
  for (int c = blockIdx.x; c < pack.num_chunks; c += gridDim.x) {
    const Chunk chunk = ChunkAt(pack, c);
    const unsigned present = PresentPairs<T>(chunk, pack.num_tasks, tile);
    for (int begin = 0; begin < chunk.count; begin += kColumns) {
      __syncthreads();
      if (chunk.is_whole) {
        LoadColumns<T, true>(chunk, pack.num_tasks, begin, columns);
      } else {
        LoadColumns<T, false>(chunk, pack.num_tasks, begin, columns);
      }
      __syncthreads();
      if (part >= num_parts) continue;
      for (int first = 4 * part; first < kColumns; first += kChain * num_parts) {
        float chain[kTile][kTile] = {};
        const int stop = min(first + kChain * num_parts, kColumns);
        for (int e = first; e < stop; e += 4 * num_parts) AddTile(columns, tile, e, chain);
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
  // The parts add their totals one after the other.
  double* sums = reinterpret_cast<double*>(columns);
  for (int turn = 0; turn < num_parts; ++turn) {
    __syncthreads();
    if (part != turn) continue;
#pragma unroll
    for (int n = 0; n < kTile * kTile; ++n) {
      double* sum = sums + n * num_tiles + index;
      *sum = (turn == 0 ? 0.0 : *sum) + totals[n / kTile][n % kTile];
    }
  }
  __syncthreads();
  const int width = num_tiles * kTile * kTile;
  for (int n = threadIdx.x; n < width; n += kThreads) {
    partial[static_cast<int64_t>(blockIdx.x) * width + n] = sums[n];
  }
}

// Where the sum of tasks (i, j) lies in a row of the wide kernel.
__device__ inline int WidePlace(int i, int j, int num_tasks) {
  const int classes = NumClasses(num_tasks);
  const bool is_lower = i % classes >= j % classes;
  const int row = is_lower ? i : j, column = is_lower ? j : i;
  const int in_tile = row / classes * kTile + column / classes;
  return in_tile * NumTiles(num_tasks) + NumPairs(row % classes) + column % classes;
}

inline size_t WideSharedBytes(int num_tasks) {
  return std::max(sizeof(float) * NumClasses(num_tasks) * kTile * kStride,
                  sizeof(double) * NumTiles(num_tasks) * kTile * kTile);
}

}  // namespace mtl
