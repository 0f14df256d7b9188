// The Gramian of task gradients: G[i,j] = <g_i, g_j>, one pass over memory, no concatenation.
//
// The inner product of two tasks is the sum over tensors of the inner products of their elements.
// Elements are multiplied and added in float32 in chains of 32, chains in float64, in an order
// fixed by the sizes alone: the result does not depend on the number of threads. A null gradient
// takes no part: its products are zero, with an infinity too.
#pragma once

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/gradients/task_gradients.h"

namespace mtl {

struct GramianArgs {
  TaskGradients gradients;
  double* gramian;  // [K, K] row-major, overwritten; symmetric to the last bit
};

void Gramian(const GramianArgs& args, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
// Doubles of device memory that GramianCuda needs as `workspace`.
int64_t GramianWorkspaceSize(const TaskGradients& gradients);
CudaStatus GramianCuda(const GramianArgs& args, double* workspace, CudaStream stream);
#endif

}  // namespace mtl
