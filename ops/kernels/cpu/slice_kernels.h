// The inner loops that are compiled once per instruction set (cpu_dispatch.h): one slice each.
#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_dispatch.h"
#include "kernels/gradients/task_gradients.h"

namespace mtl {

struct GramianSlice {
  const void* const* rows;  // [num_rows] elements of each task's tensor
  int num_rows;             // 1 to kMaxTasks
  int64_t begin;            // first element
  int64_t count;            // number of elements
  DType type;
  double* sums;  // [num_rows, num_rows], the lower triangle is added to
};

struct WeightedSumSlice {
  const void* const* rows;
  const float* weights;  // [num_rows]
  int num_rows;          // may be zero: the sum is zero
  int64_t begin;
  int64_t count;
  DType type;
  void* sum;
  bool past_caches;  // write past the caches: the sum is larger than they are
};

struct GradDropSlice {
  const void* const* rows;
  const float* leak;  // [num_rows]
  int num_rows;
  int64_t begin;
  int64_t count;
  DType type;
  const float* uniform;
  void* direction;
  bool past_caches;
};

MTL_DECLARE_KERNEL(void, GramianSliceKernel, (const GramianSlice&))
MTL_DECLARE_KERNEL(void, WeightedSumSliceKernel, (const WeightedSumSlice&))
MTL_DECLARE_KERNEL(void, GradDropSliceKernel, (const GradDropSlice&))

inline bool IsPastCaches(const TaskGradients& gradients) {
  int64_t elements = 0;
  for (int v = 0; v < gradients.num_tensors; ++v) elements += gradients.sizes[v];
  return elements * ItemBytes(gradients.type) >= kPastCachesBytes;
}

}  // namespace mtl
