// Losses of enlarged predictions on the GPU, without atomics: the same numbers at every run.
//
// A cell is the pixels of the targets between four neighbours of the small grid. A block has some
// cells of one row of cells, and walks their pixels, some rows at a time:
//
//   1. the predictions of these rows, interpolated from the two rows of the small grid
//   2. a thread per pixel: its loss, and its slopes [C], each exponential once
//   3. a thread per cell and channel: adds the slopes of the cell to its four corners
//
// Cells share corners, so blocks write parts, which a last kernel adds up.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "kernels/features/upsampling/upsample_grid.cuh"
#include "kernels/features/upsampling/upsample_loss.h"
#include "kernels/features/upsampling/upsample_pixels.cuh"

namespace mtl {
namespace {

constexpr int kSumThreads = 256;

__device__ inline double BlockSum(double value) {
  __shared__ double sums[32];
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_down_sync(0xffffffffu, value, offset);
  }
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  double total = 0;
  if (threadIdx.x == 0) {
    for (unsigned warp = 0; warp < (blockDim.x + 31) / 32; ++warp) total += sums[warp];
  }
  __syncthreads();
  return total;
}

// parts [blocks, 2, cells + 1, C]: what the block's pixels add to the gradient; sums [blocks, 2]:
// their loss and their weights.
template <typename Loss, int kGroup>
__global__ void __launch_bounds__(kUpsampleThreads)
    CellsKernel(UpsampleGrid grid, Loss loss, const float* weights, double* sums, float* parts) {
  extern __shared__ __align__(16) float memory[];
  const UpsampleShape& shape = grid.shape;
  const int stride = grid.stride, groups = (static_cast<int>(shape.channels) + kGroup - 1) / kGroup;
  float* shares = memory;                                             // [pixels, left and right]
  float* rows = shares + grid.shares();                               // [rows, cells + 1, stride]
  float* slopes = rows + grid.lerp();                                 // [pixels, stride]
  float* corners = slopes + grid.slopes();                            // [cells, 4, stride]
  float* maxima = corners + grid.corners();                           // [rows, cells + 1]
  float* downs = maxima + grid.rows_in_lerp() * (grid.cells + 1);     // [rows]
  int* begins = reinterpret_cast<int*>(downs + grid.rows_in_lerp());  // [cells + 1]

  const int tile = static_cast<int>(blockIdx.x % grid.tiles);
  const int64_t band = blockIdx.x / grid.tiles;
  const int64_t image = band / shape.height, i = band - image * shape.height;
  const int64_t first_cell = static_cast<int64_t>(tile) * grid.cells;
  const int cells =
      static_cast<int>(min(static_cast<int64_t>(grid.cells), shape.width - first_cell));
  const int64_t below = min(i + 1, shape.height - 1);
  const int64_t y_begin = FirstAt(i, grid.y_scale, shape.height, shape.target_height);
  const int64_t y_end = FirstAt(i + 1, grid.y_scale, shape.height, shape.target_height);
  for (int j = threadIdx.x; j <= cells; j += kUpsampleThreads) {
    begins[j] =
        static_cast<int>(FirstAt(first_cell + j, grid.x_scale, shape.width, shape.target_width));
  }
  for (int n = threadIdx.x; n < cells * 4 * stride; n += kUpsampleThreads) corners[n] = 0;
  __syncthreads();
  const int x_begin = begins[0], x_end = begins[cells];
  const int columns_at_once = max(1, min(x_end - x_begin, grid.pixels));
  const int rows_at_once = min(grid.pixels / columns_at_once, kMostRows);
  double own_loss = 0, own_weight = 0;
  for (int64_t y = y_begin; y < y_end; y += rows_at_once) {
    const int num_rows = static_cast<int>(min(static_cast<int64_t>(rows_at_once), y_end - y));
    // 1. The rows, in units of the loss.
    for (int n = threadIdx.x; n < num_rows * (cells + 1) * groups; n += kUpsampleThreads) {
      const int place = n / groups, c = (n - place * groups) * kGroup;
      const int row = place / (cells + 1);
      const int64_t column = min(first_cell + place - row * (cells + 1), shape.width - 1);
      const float down = Shares(y + row, grid.y_scale, shape.height).upper;
      const int64_t in_row = (image * shape.height * shape.width + column) * shape.channels;
      const float* above_at = loss.predictions + in_row + i * shape.width * shape.channels;
      const float* below_at = loss.predictions + in_row + below * shape.width * shape.channels;
      Group<kGroup> group;
#pragma unroll
      for (int m = 0; m < kGroup; ++m) {
        const bool is_there = c + m < shape.channels;
        const float above = is_there ? above_at[c + m] : kNoLogit;
        const float lower = is_there ? below_at[c + m] : kNoLogit;
        group.values[m] = is_there ? (above + down * (lower - above)) * Loss::kUnit : kNoLogit;
      }
      group.Store(rows + place * stride + c);
      if (n == row * (cells + 1) * groups) downs[row] = down;
    }
    __syncthreads();
    if constexpr (Loss::kNeedsMaximum) {  // eight threads for a column
      const int columns = num_rows * (cells + 1);
      for (int first = 0; first < columns; first += kUpsampleThreads / 8) {
        const int column = first + static_cast<int>(threadIdx.x) / 8;
        float largest = kNoLogit;
        for (int c = threadIdx.x % 8; column < columns && c < shape.channels; c += 8) {
          largest = fmaxf(largest, rows[column * stride + c]);
        }
        for (int step = 4; step > 0; step /= 2) {
          largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
        }
        if (column < columns && threadIdx.x % 8 == 0) maxima[column] = largest;
      }
      __syncthreads();
    }
    for (int x = x_begin; x < x_end; x += columns_at_once) {
      const int num_columns = min(columns_at_once, x_end - x);
      // 2. The slopes of each pixel.
      for (int p = threadIdx.x; p < num_rows * num_columns; p += kUpsampleThreads) {
        const int row = p / num_columns, column = x + p - row * num_columns;
        const int64_t pixel = (image * shape.target_height + y + row) * shape.target_width + column;
        const float weight = weights[pixel];
        float share = 0, fraction = 0;
        float* own_slopes = slopes + p * stride;
        if (weight != 0) {
          const Shares place(column, grid.x_scale, shape.width);
          const int left = row * (cells + 1) + place.lower - static_cast<int>(first_cell);
          const PixelRow<kGroup> z = {rows + left * stride, rows + (left + 1) * stride,
                                      place.upper};
          float bound = 0;
          if constexpr (Loss::kNeedsMaximum) {
            bound = maxima[left] + place.upper * (maxima[left + 1] - maxima[left]);
          }
          float factor = 0;
          own_loss +=
              static_cast<double>(weight) * loss.Slopes(grid, z, bound, pixel, own_slopes, &factor);
          own_weight += weight;
          share = weight * factor;
          fraction = place.upper;
        } else {
          for (int c = 0; c < groups * kGroup; ++c) own_slopes[c] = 0;
        }
        shares[2 * p] = share * (1.0f - fraction);
        shares[2 * p + 1] = share * fraction;
      }
      __syncthreads();
      // 3. The corners of each cell.
      for (int n = threadIdx.x; n < cells * groups; n += kUpsampleThreads) {
        const int cell = n / groups, c = (n - cell * groups) * kGroup;
        const int begin = max(begins[cell], x), end = min(begins[cell + 1], x + num_columns);
        Group<kGroup> added[4] = {};
        for (int row = 0; row < num_rows; ++row) {
          Group<kGroup> left = {}, right = {};
          for (int column = begin; column < end; ++column) {
            const int p = row * num_columns + column - x;
            const Group<kGroup> slope = Group<kGroup>::Load(slopes + p * stride + c);
            const float2 share = *reinterpret_cast<const float2*>(shares + 2 * p);
#pragma unroll
            for (int m = 0; m < kGroup; ++m) {
              left.values[m] += share.x * slope.values[m];
              right.values[m] += share.y * slope.values[m];
            }
          }
          const float down = downs[row];
#pragma unroll
          for (int m = 0; m < kGroup; ++m) {
            added[0].values[m] += (1.0f - down) * left.values[m];
            added[1].values[m] += (1.0f - down) * right.values[m];
            added[2].values[m] += down * left.values[m];
            added[3].values[m] += down * right.values[m];
          }
        }
#pragma unroll
        for (int corner = 0; corner < 4; ++corner) {
          float* place = corners + (cell * 4 + corner) * stride + c;
          Group<kGroup> group = Group<kGroup>::Load(place);
#pragma unroll
          for (int m = 0; m < kGroup; ++m) group.values[m] += added[corner].values[m];
          group.Store(place);
        }
      }
      __syncthreads();
    }
  }
  // Neighbouring cells share their corners.
  float* part = parts + blockIdx.x * grid.part_size();
  const int channels = static_cast<int>(shape.channels), row_size = (cells + 1) * channels;
  for (int n = threadIdx.x; n < 2 * row_size; n += kUpsampleThreads) {
    const int row = n / row_size, place = n - row * row_size;
    const int column = place / channels, c = place - column * channels;
    float sum = 0;
    if (column < cells) sum += corners[(column * 4 + 2 * row) * stride + c];
    if (column > 0) sum += corners[((column - 1) * 4 + 2 * row + 1) * stride + c];
    part[(row * (grid.cells + 1) + column) * channels + c] = sum;
  }
  own_loss = BlockSum(own_loss);
  own_weight = BlockSum(own_weight);
  if (threadIdx.x == 0) {
    sums[2 * blockIdx.x] = own_loss;
    sums[2 * blockIdx.x + 1] = own_weight;
  }
}

// Adds the blocks' sums; leaves the sum of the weights in sums[1].
__global__ void __launch_bounds__(kSumThreads)
    AddSumsKernel(double* sums, int64_t blocks, float* loss) {
  double own_loss = 0, own_weight = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += kSumThreads) {
    own_loss += sums[2 * b];
    own_weight += sums[2 * b + 1];
  }
  own_loss = BlockSum(own_loss);
  own_weight = BlockSum(own_weight);
  if (threadIdx.x != 0) return;
  *loss = own_weight == 0 ? 0.0f : static_cast<float>(own_loss / own_weight);
  sums[1] = own_weight;
}

// Adds the parts that blocks have of a position of the small grid, divided by the weights.
__global__ void __launch_bounds__(kSumThreads)
    AddPartsKernel(UpsampleGrid grid, const double* sums, const float* parts, float* gradient) {
  const UpsampleShape& shape = grid.shape;
  const int64_t n = static_cast<int64_t>(blockIdx.x) * kSumThreads + threadIdx.x;
  if (n >= shape.batch * shape.height * shape.width * shape.channels) return;
  const int64_t position = n / shape.channels, c = n - position * shape.channels;
  const int64_t row = position / shape.width, j = position - row * shape.width;
  const int64_t i = row % shape.height;
  const auto part = [&](int64_t band, int below, int64_t tile, int64_t column) {
    return parts[(band * grid.tiles + tile) * grid.part_size() +
                 (below * (grid.cells + 1) + column) * shape.channels + c];
  };
  const auto of_band = [&](int64_t band, int below) {
    const int64_t tile = j / grid.cells, column = j - tile * grid.cells;
    float sum = part(band, below, tile, column);
    if (column == 0 && tile > 0) sum += part(band, below, tile - 1, grid.cells);
    return sum;
  };
  float sum = of_band(row, 0);
  if (i > 0) sum += of_band(row - 1, 1);
  const double total = sums[1];
  gradient[n] = total == 0 ? 0.0f : static_cast<float>(sum / total);
}

template <typename Loss, int kGroup>
CudaStatus LaunchCells(const UpsampleGrid& grid, const Loss& loss, const float* weights,
                       double* sums, float* parts, cudaStream_t stream) {
  constexpr auto kernel = CellsKernel<Loss, kGroup>;
  const size_t bytes = grid.SharedBytes();
  if (bytes > 48 * 1024) {
    const cudaError_t status = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (status != cudaSuccess) return status;  // thousands of channels
  }
  kernel<<<static_cast<unsigned>(grid.blocks()), kUpsampleThreads, bytes, stream>>>(
      grid, loss, weights, sums, parts);
  return cudaGetLastError();
}

template <typename Loss, typename Args>
CudaStatus Run(const Args& args, const Loss& loss, double* workspace, CudaStream stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const UpsampleGrid grid = GridOf(args.shape);
  float* parts = reinterpret_cast<float*>(workspace + 2 * std::max<int64_t>(1, grid.blocks()));
  if (grid.blocks() > 0) {
    const CudaStatus status =
        grid.shape.channels < 4
            ? LaunchCells<Loss, 1>(grid, loss, args.weights, workspace, parts, on)
            : LaunchCells<Loss, 4>(grid, loss, args.weights, workspace, parts, on);
    if (status != 0) return status;
  }
  AddSumsKernel<<<1, kSumThreads, 0, on>>>(workspace, grid.blocks(), args.loss);
  const int64_t values =
      grid.blocks() / std::max(1, grid.tiles) * grid.shape.width * grid.shape.channels;
  if (values > 0) {
    AddPartsKernel<<<static_cast<unsigned>((values + kSumThreads - 1) / kSumThreads), kSumThreads,
                     0, on>>>(grid, workspace, parts, args.gradient);
  }
  return cudaGetLastError();
}

}  // namespace

int64_t UpsampleWorkspaceSize(const UpsampleShape& shape) {
  const UpsampleGrid grid = GridOf(shape);
  return 2 * std::max<int64_t>(1, grid.blocks()) + (grid.blocks() * grid.part_size() + 1) / 2;
}

CudaStatus UpsampleCrossEntropyCuda(const UpsampleCrossEntropyArgs& args, double* workspace,
                                    CudaStream stream) {
  return Run(args, CrossEntropy{args.predictions, args.targets}, workspace, stream);
}

CudaStatus UpsampleL1Cuda(const UpsampleL1Args& args, double* workspace, CudaStream stream) {
  return Run(args, AbsoluteError{args.predictions, args.targets}, workspace, stream);
}

}  // namespace mtl
