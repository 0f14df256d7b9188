// The weighted sum of task gradients: d_v = sum_k w_k g_kv, one pass over memory.
//
// Added in float32 in the order of the tasks and rounded once to the gradients' type.
#pragma once

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/gradients/task_gradients.h"

namespace mtl {

struct WeightedSumArgs {
  TaskGradients gradients;
  const double* weights;  // [K]
  void* const* sums;      // [V] like the gradients, overwritten; may be the memory of one of them
};

void WeightedSum(const WeightedSumArgs& args, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
CudaStatus WeightedSumCuda(const WeightedSumArgs& args, CudaStream stream);
#endif

}  // namespace mtl
