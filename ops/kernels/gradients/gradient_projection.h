// PCGrad (Yu et al. 2020) end to end: Gramian, projections, weighted sum, without leaving the
// device.
//
// Projecting gradient i on the normal plane of a conflicting gradient j only changes the
// coefficients of a combination of the original gradients, so two passes over memory serve all K (K
// - 1) steps.
#pragma once

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/gradients/task_gradients.h"

namespace mtl {

struct GradientProjectionArgs {
  TaskGradients gradients;
  const int32_t* order;     // [K, K-1]: row i = the other tasks in the order in which i meets them
  void* const* directions;  // [V] elements of the gradients' type and sizes, overwritten
  double* weights;          // [K], overwritten: direction = sum_k weights_k g_k
};

void GradientProjection(const GradientProjectionArgs& args, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
// Doubles of device memory that GradientProjectionCuda needs as `workspace`.
int64_t GradientProjectionWorkspaceSize(const TaskGradients& gradients);
CudaStatus GradientProjectionCuda(const GradientProjectionArgs& args, double* workspace,
                                  CudaStream stream);
#endif

}  // namespace mtl
