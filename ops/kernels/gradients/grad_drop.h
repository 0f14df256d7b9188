// GradDrop (Chen et al. 2020): keeps, per element, only the gradients of one sign.
//
//   purity  P = (1 + sum_k g_k / sum_k |g_k|) / 2
//   keep g_k > 0 where P > U, g_k < 0 where P < U;  d = sum_k (leak_k + (1 - leak_k) keep_k) g_k
//
// U is uniform in [0, 1). P > U is decided as sum_k g_k > (2 U - 1) sum_k |g_k|, which needs no
// division, so elements that are zero for every task give zero.
#pragma once

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/gradients/task_gradients.h"

namespace mtl {

struct GradDropArgs {
  TaskGradients gradients;
  const float* const* uniform;  // [V] elements in [0, 1), of the gradients' sizes
  const float* leak;            // [K] in [0, 1]: the share of a gradient that is always kept
  void* const* directions;      // [V] elements of the gradients' type and sizes, overwritten
};

void GradDrop(const GradDropArgs& args, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
CudaStatus GradDropCuda(const GradDropArgs& args, CudaStream stream);
#endif

}  // namespace mtl
