// Diffusion along affinities (PAP-Net, Zhang et al. 2019) without the N x N matrices.
//
//   affinities_s = softmax over keys k of  queries_s[q] . keys_s[k]
//   results[q]   = sum_s mix_s sum_k affinities_s[q, k] values[k]
//
// The affinities of a group of queries exist at a time.
#pragma once

#include <cstdint>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/dtype.h"

namespace mtl {

constexpr int kMaxAffinities = 16;

struct DiffusionShape {
  int64_t batch;           // B
  int64_t positions;       // N
  int64_t query_channels;  // D
  int64_t value_channels;  // C
  int num_sources;         // S, 1 to kMaxAffinities
  DType type;              // of queries, keys, values and results
};

struct DiffusionInputs {
  DiffusionShape shape;
  const void* const* queries;  // [S] `[B, N, D]`
  const void* const* keys;     // [S] `[B, N, D]`
  const void* values;          // [B, N, C]
  const float* mix;            // [S]
};

struct AffinityDiffusionArgs {
  DiffusionInputs inputs;
  void* results;   // [B, N, C]
  float* softmax;  // [2, S, B, N]: each row's largest score, and the sum of exp(score - largest);
                   // for the gradient
};

struct AffinityDiffusionGradArgs {
  DiffusionInputs inputs;
  const float* softmax;
  const void* upstream;          // [B, N, C]: the gradient of the results
  void* const* query_gradients;  // [S] `[B, N, D]`
  void* const* key_gradients;    // [S] `[B, N, D]`
  void* value_gradients;         // [B, N, C]
  float* mix_gradients;          // [S]
};

void AffinityDiffusion(const AffinityDiffusionArgs& args, const ParallelFor& parallel_for);
void AffinityDiffusionGrad(const AffinityDiffusionGradArgs& args, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
// All pointers but those of the argument structures themselves are the device's.
CudaStatus AffinityDiffusionCuda(const AffinityDiffusionArgs& args, CudaStream stream);

// Doubles that the gradient needs.
int64_t AffinityDiffusionGradWorkspaceSize(const DiffusionShape& shape);
CudaStatus AffinityDiffusionGradCuda(const AffinityDiffusionGradArgs& args, double* workspace,
                                     CudaStream stream);
#endif

}  // namespace mtl
