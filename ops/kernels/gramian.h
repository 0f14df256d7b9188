// The Gramian of task gradients: G[i,j] = <g_i, g_j>, one pass over memory, no concatenation.
//
// Each task's gradient is a list of V tensors; the inner product of two tasks is the sum over
// tensors of the inner products of their elements. Elements are multiplied and added in float32
// inside blocks of 1024, blocks are added in float64, in a fixed order: the result does not depend
// on the number of threads.
#pragma once

#include <cstdint>

#include "kernels/parallel_for.h"

namespace mtl {

enum class GradientType { float32, bfloat16, float16 };

constexpr int kMaxGramianTasks = 256;

struct GramianArgs {
  int num_tasks;                 // K, 1 to 256
  int num_tensors;               // V >= 0
  const void* const* gradients;  // [K, V] row-major; elements of tensor v of task k; null = zero
  const int64_t* sizes;          // [V] number of elements of tensor v
  GradientType type;             // of all gradients
  double* gramian;               // [K, K] row-major, overwritten; symmetric to the last bit
};

void Gramian(const GramianArgs& args, const ParallelFor& parallel_for);

}  // namespace mtl
