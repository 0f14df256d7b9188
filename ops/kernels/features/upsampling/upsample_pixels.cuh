// A pixel of the large grid: its interpolated predictions, its loss, and its slopes.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/features/upsampling/upsample_grid.cuh"

namespace mtl {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
constexpr float kTiniest = 1e-20f;  // sums below are made again from the true maximum
constexpr float kNoLogit = -1e30f;  // of channels that fill a vector

// The lower neighbour of a position of the large grid, and the share of the upper one. At the
// borders, where both are the same, all is the lower one's.
struct Shares {
  int lower;
  float upper;

  __device__ Shares(int64_t position, float scale, int64_t small_size) {
    const Between place = PlaceOf(position, scale, small_size);
    lower = place.lower;
    upper = place.upper == place.lower ? 0.0f : place.fraction;
  }
};

// kGroup neighbouring floats of shared memory.
template <int kGroup>
struct alignas(4 * kGroup) Group {
  float values[kGroup];

  __device__ static Group Load(const float* address) {
    Group group;
    if constexpr (kGroup == 4) {
      const float4 four = *reinterpret_cast<const float4*>(address);
      group.values[0] = four.x;
      group.values[1] = four.y;
      group.values[2] = four.z;
      group.values[3] = four.w;
    } else {
      group.values[0] = *address;
    }
    return group;
  }
  __device__ void Store(float* address) const {
    if constexpr (kGroup == 4) {
      *reinterpret_cast<float4*>(address) = make_float4(values[0], values[1], values[2], values[3]);
    } else {
      *address = values[0];
    }
  }
};

// The predictions of a pixel, interpolated along its row.
template <int kGroup>
struct PixelRow {
  const float *left, *right;
  float fraction;

  // Less `bound`.
  __device__ Group<kGroup> operator()(int64_t c, float bound = 0) const {
    const Group<kGroup> a = Group<kGroup>::Load(left + c), b = Group<kGroup>::Load(right + c);
    const float rest = 1.0f - fraction;
    Group<kGroup> z;
#pragma unroll
    for (int n = 0; n < kGroup; ++n) {
      z.values[n] = fmaf(b.values[n], fraction, fmaf(a.values[n], rest, -bound));
    }
    return z;
  }
};

// What a loss is to the kernels: the factor of predictions when they are interpolated, the loss of
// a pixel, and its slopes, of which a factor is taken out.
struct alignas(16) CrossEntropy {
  const float* predictions;
  const int32_t* targets;
  static constexpr bool kNeedsMaximum = true;
  static constexpr float kUnit = kLog2E;  // exponentials are powers of two

  // `bound` is no less than any prediction.
  template <int kGroup>
  __device__ float Slopes(const UpsampleGrid& grid, const PixelRow<kGroup>& z, float bound,
                          int64_t pixel, float* slopes, float* factor) const {
    const int64_t channels = grid.shape.channels;
    float sum = Powers(z, bound, channels, slopes);
    if (!(sum > kTiniest)) {  // the bound is far above
      bound = kNoLogit;
      for (int64_t c = 0; c < channels; c += kGroup) {
        const Group<kGroup> values = z(c);
#pragma unroll
        for (int n = 0; n < kGroup; ++n) bound = fmaxf(bound, values.values[n]);
      }
      sum = Powers(z, bound, channels, slopes);
    }
    *factor = 1.0f / sum;
    const int32_t label = targets[pixel];
    if (label < 0 || label >= channels) return nanf("");
    const float own = PixelRow<1>{z.left, z.right, z.fraction}(label, bound).values[0];
    slopes[label] -= sum;
    return (log2f(sum) - own) * kLn2;
  }

 private:
  template <int kGroup>
  __device__ static float Powers(const PixelRow<kGroup>& z, float bound, int64_t channels,
                                 float* slopes) {
    float sum = 0;
#pragma unroll 2
    for (int64_t c = 0; c < channels; c += kGroup) {
      Group<kGroup> values = z(c, bound);
#pragma unroll
      for (int n = 0; n < kGroup; ++n) {
        values.values[n] = exp2f(values.values[n]);
        sum += values.values[n];
      }
      values.Store(slopes + c);
    }
    return sum;
  }
};

struct alignas(16) AbsoluteError {
  const float* predictions;
  const float* targets;
  static constexpr bool kNeedsMaximum = false;
  static constexpr float kUnit = 1.0f;

  template <int kGroup>
  __device__ float Slopes(const UpsampleGrid& grid, const PixelRow<kGroup>& z, float, int64_t pixel,
                          float* slopes, float* factor) const {
    const int64_t channels = grid.shape.channels;
    const float* target = targets + pixel * channels;
    float error = 0;
    for (int64_t c = 0; c < channels; c += kGroup) {
      Group<kGroup> values = z(c);
#pragma unroll
      for (int n = 0; n < kGroup; ++n) {
        const float difference = c + n < channels ? values.values[n] - target[c + n] : 0.0f;
        error += fabsf(difference);
        values.values[n] = difference > 0 ? 1.0f : difference < 0 ? -1.0f : 0.0f * difference;
      }
      values.Store(slopes + c);
    }
    *factor = 1.0f / static_cast<float>(channels);
    return error * *factor;
  }
};

}  // namespace mtl
