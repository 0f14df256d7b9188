// Cross-stitch (Misra et al. 2016): each of K maps becomes a mixture of all, channel by channel.
//
//   results_i = sum_j weights_ij features_j
#pragma once

#include "kernels/cuda/stream.h"
#include "kernels/features/feature_maps.h"

namespace mtl {

constexpr int kMaxStitched = 6;

struct CrossStitchArgs {
  int64_t num_positions;        // N
  int64_t num_channels;         // C
  DType type;                   // of all maps
  int num_tasks;                // K, 1 to kMaxStitched
  const float* weights;         // [K, K, C]
  const void* const* features;  // [K] `[N, C]`
  void* const* results;         // [K] `[N, C]`, overwritten
};

struct CrossStitchGradArgs {
  int64_t num_positions;
  int64_t num_channels;
  DType type;
  int num_tasks;
  const float* weights;
  const void* const* features;
  const void* const* upstream;  // [K] `[N, C]`: the gradients of the results
  void* const* gradients;       // [K] `[N, C]`: of the features, overwritten
  float* weight_gradients;      // [K, K, C], overwritten
};

void CrossStitch(const CrossStitchArgs& args, const ParallelFor& parallel_for);
void CrossStitchGrad(const CrossStitchGradArgs& args, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
CudaStatus CrossStitchCuda(const CrossStitchArgs& args, CudaStream stream);

// `workspace`: CrossStitchGradWorkspaceSize doubles on the device.
int64_t CrossStitchGradWorkspaceSize(int64_t num_positions, int64_t num_channels, int num_tasks);
CudaStatus CrossStitchGradCuda(const CrossStitchGradArgs& args, double* workspace,
                               CudaStream stream);
#endif

// An error unless features and weights fit together.
inline Error CheckCrossStitch(const std::vector<MapShape>& features,
                              const std::vector<int64_t>& weights) {
  const int64_t num_tasks = static_cast<int64_t>(features.size());
  if (num_tasks < 1 || num_tasks > kMaxStitched) {
    return "features: expected 1 to " + std::to_string(kMaxStitched) + " maps, received " +
           std::to_string(num_tasks);
  }
  if (weights != std::vector<int64_t>{num_tasks, num_tasks, features[0].channels}) {
    return "weights: expected shape [" + std::to_string(num_tasks) + ", " +
           std::to_string(num_tasks) + ", " + std::to_string(features[0].channels) + "]";
  }
  return CheckAlike("features", features, features[0]);
}

}  // namespace mtl
