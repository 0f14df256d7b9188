// Losses of low-resolution predictions at the resolution of their targets, without the enlarged
// predictions: each is made where it is needed, from its four neighbours, and forgotten.
//
//   z(y, x)   = bilinear interpolation of the predictions, half-pixel centres
//   loss      = sum of weight(y, x) l(z(y, x), target(y, x)) / sum of weights; 0 without weights
//   gradient  = d loss / d predictions
//
// with l = log sum_c exp z_c - z_label (cross-entropy) or l = mean_c |z_c - target_c| (L1).
#pragma once

#include <cstdint>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"

namespace mtl {

struct UpsampleShape {
  int64_t batch;                        // B
  int64_t height, width;                // h, w: of the predictions
  int64_t channels;                     // C
  int64_t target_height, target_width;  // H, W
};

struct UpsampleCrossEntropyArgs {
  UpsampleShape shape;
  const float* predictions;  // [B, h, w, C] logits
  const int32_t* targets;    // [B, H, W] in [0, C) where the weight is not 0; others give NaN
  const float* weights;      // [B, H, W] >= 0
  float* loss;               // scalar
  float* gradient;           // [B, h, w, C]
};

struct UpsampleL1Args {
  UpsampleShape shape;
  const float* predictions;  // [B, h, w, C]
  const float* targets;      // [B, H, W, C]
  const float* weights;      // [B, H, W] >= 0
  float* loss;
  float* gradient;
};

void UpsampleCrossEntropy(const UpsampleCrossEntropyArgs& args, const ParallelFor& parallel_for);
void UpsampleL1(const UpsampleL1Args& args, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
// `workspace`: UpsampleWorkspaceSize doubles on the device.
int64_t UpsampleWorkspaceSize(const UpsampleShape& shape);
CudaStatus UpsampleCrossEntropyCuda(const UpsampleCrossEntropyArgs& args, double* workspace,
                                    CudaStream stream);
CudaStatus UpsampleL1Cuda(const UpsampleL1Args& args, double* workspace, CudaStream stream);
#endif

// Where a position of the large grid lies on the small one: between `lower` and `upper`, at
// `fraction` of the way.
struct Between {
  int32_t lower, upper;
  float fraction;
};

#if defined(__CUDACC__)
#define MTL_HOST_DEVICE __host__ __device__
#else
#define MTL_HOST_DEVICE
#endif

// `scale` is the small size divided by the large one.
MTL_HOST_DEVICE inline Between PlaceOf(int64_t position, float scale, int64_t small_size) {
  const float place = (static_cast<float>(position) + 0.5f) * scale - 0.5f;
  const int32_t below = static_cast<int32_t>(place + 1.0f) - 1;  // floor, as place >= -0.5
  const int32_t last = static_cast<int32_t>(small_size) - 1;
  return {below < 0 ? 0 : below, below + 1 < last ? below + 1 : last,
          place - static_cast<float>(below)};
}

#undef MTL_HOST_DEVICE

}  // namespace mtl
