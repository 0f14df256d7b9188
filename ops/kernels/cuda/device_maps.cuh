// Feature maps [positions, channels] on the device, walked in vectors of up to sixteen bytes of
// neighbouring channels. No division in the loops: a thread keeps its channels and walks positions,
// or, where maps are dense, walks their elements as one row.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/occupancy.cuh"

namespace mtl {

constexpr int kMapThreads = 256;
constexpr int64_t kMostMapBlocks = 16384;

template <int kElements>
struct VectorSize {
  static constexpr int value = kElements;
};

template <typename T>
bool IsAlignedFor(const T* address, int size) {
  return reinterpret_cast<uintptr_t>(address) % (size * sizeof(T)) == 0;
}

// How blocks share a map: each has `tile` vectors of a row, at `rows` positions at once.
struct MapTiles {
  int per_row, tile, rows;

  // At most `most` vectors in a tile, which are spread evenly.
  static MapTiles Of(int64_t channels, int size, int most, int threads = kMapThreads) {
    const int per_row = static_cast<int>(channels / size);
    const int tiles = std::max(1, (per_row + most - 1) / most);
    const int tile = std::max(1, (per_row + tiles - 1) / tiles);
    return {per_row, tile, threads / tile};
  }
  int tiles() const { return std::max(1, (per_row + tile - 1) / tile); }
  // Blocks: as many as run at once, at most `most` for a tile.
  template <typename Kernel>
  dim3 Grid(Kernel kernel, int64_t positions, int64_t most, size_t shared_bytes = 0,
            int threads = kMapThreads) const {
    const int64_t useful = (positions + rows - 1) / rows;
    const int64_t at_once = BlocksAtOnce(kernel, threads, shared_bytes) / tiles();
    const int64_t blocks = std::min({useful, std::max<int64_t>(1, at_once), most});
    return dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(tiles()));
  }
};

// The part of a map of one thread.
struct MapThread {
  int64_t first, step;  // positions
  int column;           // first channel
  int in_tile;          // the same, counted from the first channel of the block's tile
  bool is_used;

  __device__ MapThread(const MapTiles& tiles, int size) {
    const int row = static_cast<int>(threadIdx.x) / tiles.tile;
    const int v = static_cast<int>(threadIdx.x) - row * tiles.tile;
    const int in_row = static_cast<int>(blockIdx.y) * tiles.tile + v;
    first = static_cast<int64_t>(blockIdx.x) * tiles.rows + row;
    step = static_cast<int64_t>(gridDim.x) * tiles.rows;
    column = in_row * size;
    in_tile = v * size;
    is_used = row < tiles.rows && in_row < tiles.per_row;
  }
};

// Blocks for dense maps of `vectors` vectors.
template <typename Kernel>
int DenseBlocks(Kernel kernel, int64_t vectors) {
  const int64_t useful = std::max<int64_t>(1, (vectors + kMapThreads - 1) / kMapThreads);
  return static_cast<int>(
      std::min<int64_t>({useful, BlocksAtOnce(kernel, kMapThreads, 0), kMostMapBlocks}));
}

// Calls `f(VectorSize<n>, place)` for the vectors of this thread in a dense map of `elements`; the
// last elements that fill no vector come one by one.
template <int kSize, typename Function>
__device__ inline void ForEachDenseVector(int64_t elements, const Function& f) {
  const int64_t vectors = elements / kSize;
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kMapThreads + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kMapThreads;
  for (int64_t v = thread; v < vectors; v += step) f(VectorSize<kSize>{}, v * kSize);
  const int64_t place = vectors * kSize + thread;
  if (kSize > 1 && place < elements) f(VectorSize<1>{}, place);
}

}  // namespace mtl
