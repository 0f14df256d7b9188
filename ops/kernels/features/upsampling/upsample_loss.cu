// Losses of enlarged predictions on the GPU, without atomics: the same numbers at every run.
//
// A thread per pixel of the targets finds the loss and what the gradient needs of it
// (cross-entropy: log sum exp). Then a block per position of the small grid gathers its gradient
// from the pixels that lie around it, making their predictions once more.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "kernels/features/upsampling/upsample_loss.h"

namespace mtl {
namespace {

constexpr int kPixelThreads = 256;
constexpr int kMostBlocks = 1024;    // of the sums
constexpr int kGatherThreads = 128;  // pixels around a position, worked on at once

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

struct Grid {
  UpsampleShape shape;
  float y_scale, x_scale;

  __device__ int64_t pixels() const {
    return shape.batch * shape.target_height * shape.target_width;
  }
};

// The four predictions around a pixel.
struct Corners {
  const float *top_left, *top_right, *bottom_left, *bottom_right;
  float down, right;

  __device__ Corners(const Grid& grid, const float* predictions, int64_t image, int64_t y,
                     int64_t x) {
    const UpsampleShape& shape = grid.shape;
    const Between row = PlaceOf(y, grid.y_scale, shape.height);
    const Between column = PlaceOf(x, grid.x_scale, shape.width);
    const auto at = [&](int64_t i, int64_t j) {
      return predictions + ((image * shape.height + i) * shape.width + j) * shape.channels;
    };
    top_left = at(row.lower, column.lower);
    top_right = at(row.lower, column.upper);
    bottom_left = at(row.upper, column.lower);
    bottom_right = at(row.upper, column.upper);
    down = row.fraction;
    right = column.fraction;
  }
  __device__ float operator()(int64_t c) const {
    const float left_side = top_left[c] + down * (bottom_left[c] - top_left[c]);
    const float right_side = top_right[c] + down * (bottom_right[c] - top_right[c]);
    return left_side + right * (right_side - left_side);
  }
};

// What a loss is to the kernels: the loss of a pixel, a number of it that is kept, and the slope of
// channel c.
struct CrossEntropy {
  const float* predictions;
  const int32_t* targets;

  __device__ float Loss(const Grid& grid, const Corners& z, int64_t pixel, float* kept) const {
    float largest = -INFINITY, sum = 0;
    for (int64_t c = 0; c < grid.shape.channels; ++c) largest = fmaxf(largest, z(c));
    for (int64_t c = 0; c < grid.shape.channels; ++c) sum += expf(z(c) - largest);
    *kept = logf(sum) + largest;
    const int32_t label = targets[pixel];
    return label < 0 || label >= grid.shape.channels ? nanf("") : *kept - z(label);
  }
  __device__ float Slope(const Grid&, const Corners& z, int64_t pixel, int64_t c,
                         float kept) const {
    return expf(z(c) - kept) - (targets[pixel] == c ? 1.0f : 0.0f);
  }
};

struct AbsoluteError {
  const float* predictions;
  const float* targets;

  __device__ float Loss(const Grid& grid, const Corners& z, int64_t pixel, float*) const {
    float error = 0;
    for (int64_t c = 0; c < grid.shape.channels; ++c) {
      error += fabsf(z(c) - targets[pixel * grid.shape.channels + c]);
    }
    return error / static_cast<float>(grid.shape.channels);
  }
  __device__ float Slope(const Grid& grid, const Corners& z, int64_t pixel, int64_t c,
                         float) const {
    const float difference = z(c) - targets[pixel * grid.shape.channels + c];
    const float sign = difference > 0 ? 1.0f : difference < 0 ? -1.0f : 0.0f * difference;
    return sign / static_cast<float>(grid.shape.channels);
  }
};

// sums[2 b] and sums[2 b + 1]: the loss and the weights of block b; kept [pixels].
template <typename Loss>
__global__ void __launch_bounds__(kPixelThreads)
    LossKernel(Grid grid, Loss loss, const float* weights, double* sums, float* kept) {
  double own_loss = 0, own_weight = 0;
  const int64_t per_image = grid.shape.target_height * grid.shape.target_width;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kPixelThreads;
  for (int64_t pixel = static_cast<int64_t>(blockIdx.x) * kPixelThreads + threadIdx.x;
       pixel < grid.pixels(); pixel += step) {
    const float weight = weights[pixel];
    if (weight == 0) continue;
    const int64_t image = pixel / per_image, in_image = pixel - image * per_image;
    const int64_t y = in_image / grid.shape.target_width;
    const Corners z(grid, loss.predictions, image, y, in_image - y * grid.shape.target_width);
    own_loss += static_cast<double>(weight) * loss.Loss(grid, z, pixel, kept + pixel);
    own_weight += weight;
  }
  own_loss = BlockSum(own_loss);
  own_weight = BlockSum(own_weight);
  if (threadIdx.x == 0) {
    sums[2 * blockIdx.x] = own_loss;
    sums[2 * blockIdx.x + 1] = own_weight;
  }
}

// Adds the blocks' sums; leaves the sum of the weights in sums[1].
__global__ void __launch_bounds__(kPixelThreads)
    AddSumsKernel(double* sums, int blocks, float* loss) {
  double own_loss = 0, own_weight = 0;
  for (int b = threadIdx.x; b < blocks; b += kPixelThreads) {
    own_loss += sums[2 * b];
    own_weight += sums[2 * b + 1];
  }
  own_loss = BlockSum(own_loss);
  own_weight = BlockSum(own_weight);
  if (threadIdx.x != 0) return;
  *loss = own_weight == 0 ? 0.0f : static_cast<float>(own_loss / own_weight);
  sums[1] = own_weight;
}

// The positions of the large grid that may lie next to position `place` of the small one.
__device__ inline void Around(int64_t place, float scale, int64_t small_size, int64_t large_size,
                              int64_t* begin, int64_t* end) {
  const float low = (static_cast<float>(place) - 0.5f) / scale - 1.5f;
  const float high = (static_cast<float>(place) + 1.5f) / scale + 1.5f;
  *begin = place == 0 ? 0 : max(int64_t{0}, static_cast<int64_t>(floorf(low)));
  *end =
      place == small_size - 1 ? large_size : min(large_size, static_cast<int64_t>(ceilf(high)) + 1);
}

__device__ inline float ShareOf(const Between& between, int64_t place) {
  return (between.lower == place ? 1.0f - between.fraction : 0.0f) +
         (between.upper == place ? between.fraction : 0.0f);
}

// A block per position of the small grid and one of its threads per pixel around it.
template <typename Loss>
__global__ void __launch_bounds__(kGatherThreads)
    GatherKernel(Grid grid, Loss loss, const float* weights, const double* sums, const float* kept,
                 float* gradient) {
  const UpsampleShape& shape = grid.shape;
  const int64_t position = blockIdx.x;
  const int64_t image = position / (shape.height * shape.width);
  const int64_t in_image = position - image * shape.height * shape.width;
  const int64_t i = in_image / shape.width, j = in_image - i * shape.width;
  int64_t y_begin, y_end, x_begin, x_end;
  Around(i, grid.y_scale, shape.height, shape.target_height, &y_begin, &y_end);
  Around(j, grid.x_scale, shape.width, shape.target_width, &x_begin, &x_end);
  const int64_t columns = x_end - x_begin, pixels = (y_end - y_begin) * columns;
  const double total = sums[1];
  for (int64_t c = 0; c < shape.channels; ++c) {
    double sum = 0;
    for (int64_t n = threadIdx.x; n < pixels; n += kGatherThreads) {
      const int64_t y = y_begin + n / columns, x = x_begin + n % columns;
      const int64_t pixel = (image * shape.target_height + y) * shape.target_width + x;
      const float weight = weights[pixel];
      if (weight == 0) continue;
      const float share = ShareOf(PlaceOf(y, grid.y_scale, shape.height), i) *
                          ShareOf(PlaceOf(x, grid.x_scale, shape.width), j);
      if (share == 0) continue;
      const Corners z(grid, loss.predictions, image, y, x);
      sum += share * weight * loss.Slope(grid, z, pixel, c, kept[pixel]);
    }
    sum = BlockSum(sum);
    if (threadIdx.x == 0) {
      gradient[position * shape.channels + c] = total == 0 ? 0.0f : static_cast<float>(sum / total);
    }
  }
}

int64_t NumPixels(const UpsampleShape& shape) {
  return shape.batch * shape.target_height * shape.target_width;
}

int NumBlocks(const UpsampleShape& shape) {
  const int64_t blocks = (NumPixels(shape) + kPixelThreads - 1) / kPixelThreads;
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(blocks, kMostBlocks)));
}

template <typename Loss, typename Args>
CudaStatus Run(const Args& args, const Loss& loss, double* workspace, CudaStream stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const UpsampleShape& shape = args.shape;
  const Grid grid{shape, static_cast<float>(shape.height) / static_cast<float>(shape.target_height),
                  static_cast<float>(shape.width) / static_cast<float>(shape.target_width)};
  const int blocks = NumBlocks(shape);
  float* kept = reinterpret_cast<float*>(workspace + 2 * kMostBlocks);
  LossKernel<<<blocks, kPixelThreads, 0, on>>>(grid, loss, args.weights, workspace, kept);
  AddSumsKernel<<<1, kPixelThreads, 0, on>>>(workspace, blocks, args.loss);
  const int64_t positions = shape.batch * shape.height * shape.width;
  if (positions * shape.channels > 0) {
    GatherKernel<<<static_cast<unsigned>(positions), kGatherThreads, 0, on>>>(
        grid, loss, args.weights, workspace, kept, args.gradient);
  }
  return cudaGetLastError();
}

}  // namespace

int64_t UpsampleWorkspaceSize(const UpsampleShape& shape) {
  return 2 * kMostBlocks + (NumPixels(shape) + 1) / 2;
}

CudaStatus UpsampleCrossEntropyCuda(const UpsampleCrossEntropyArgs& args, double* workspace,
                                    CudaStream stream) {
  return Run(args, CrossEntropy{args.predictions, args.targets}, workspace, stream);
}

CudaStatus UpsampleL1Cuda(const UpsampleL1Args& args, double* workspace, CudaStream stream) {
  return Run(args, AbsoluteError{args.predictions, args.targets}, workspace, stream);
}

}  // namespace mtl
