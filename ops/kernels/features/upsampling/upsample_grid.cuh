// How the losses of upsampled predictions are divided among blocks, and what a block keeps in
// shared memory.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/features/upsampling/upsample_loss.h"

namespace mtl {

constexpr int kUpsampleThreads = 128;
constexpr int kMostCells = 16;      // of a block
constexpr int kMostPixels = 1024;   // at a time
constexpr int kMostRows = 8;        // of pixels at a time
constexpr int kSlopeFloats = 6144;  // of shared memory, for the slopes

// What all kernels know.
struct UpsampleGrid {
  UpsampleShape shape;
  float y_scale, x_scale;
  int cells, tiles;  // of a block; blocks in a row of cells
  int pixels;        // at a time
  int stride;        // of the channels of a pixel: at least C

  __host__ __device__ int64_t blocks() const { return shape.batch * shape.height * tiles; }
  __host__ __device__ int64_t part_size() const { return 2 * (cells + 1) * shape.channels; }
  __host__ __device__ int rows_in_lerp() const { return kMostRows < pixels ? kMostRows : pixels; }
  // Floats of shared memory: interpolated rows, their maxima, slopes, corners, shares of pixels.
  __host__ __device__ int64_t lerp() const {
    return static_cast<int64_t>(rows_in_lerp()) * (cells + 1) * stride;
  }
  __host__ __device__ int64_t slopes() const { return static_cast<int64_t>(pixels) * stride; }
  __host__ __device__ int64_t corners() const { return static_cast<int64_t>(cells) * 4 * stride; }
  __host__ __device__ int64_t shares() const { return (2 * pixels + 3) / 4 * 4; }
  size_t SharedBytes() const {
    const int64_t floats =
        shares() + lerp() + slopes() + corners() + rows_in_lerp() * (cells + 2) + cells + 1;
    return sizeof(float) * static_cast<size_t>(floats);
  }
};

inline UpsampleGrid GridOf(const UpsampleShape& shape) {
  UpsampleGrid grid = {};
  grid.shape = shape;
  grid.y_scale = static_cast<float>(shape.height) / static_cast<float>(shape.target_height);
  grid.x_scale = static_cast<float>(shape.width) / static_cast<float>(shape.target_width);
  const int64_t channels = std::max<int64_t>(1, shape.channels);
  // Vectors of four where they are filled; an odd number of them, so that the pixels of a warp lie
  // in different banks.
  const int64_t vectors = (channels + 3) / 4;
  grid.stride = static_cast<int>(channels < 4 ? channels | 1 : 4 * (vectors | 1));
  const int64_t pixels =
      std::max<int64_t>(1, std::min<int64_t>(kMostPixels, kSlopeFloats / grid.stride));
  grid.pixels = static_cast<int>(
      pixels > kUpsampleThreads ? pixels / kUpsampleThreads * kUpsampleThreads : pixels);
  const int64_t in_cell =
      (shape.target_width + shape.width - 1) / std::max<int64_t>(1, shape.width);
  const int64_t cells = grid.pixels / std::max<int64_t>(1, 2 * in_cell);
  grid.cells = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(kMostCells, cells)));
  grid.tiles = static_cast<int>((shape.width + grid.cells - 1) / grid.cells);
  return grid;
}

// The first position of the large grid whose lower neighbour is `place` or a later one.
__device__ inline int64_t FirstAt(int64_t place, float scale, int64_t small_size,
                                  int64_t large_size) {
  if (place <= 0) return 0;
  if (place >= small_size) return large_size;
  const float guess = floorf((static_cast<float>(place) + 0.5f) / scale - 0.5f) - 2.0f;
  int64_t first = guess < 0 ? 0 : static_cast<int64_t>(guess);
  while (first < large_size && PlaceOf(first, scale, small_size).lower < place) ++first;
  return first;
}

}  // namespace mtl
