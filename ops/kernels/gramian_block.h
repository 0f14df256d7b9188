// The part of the Gramian that is compiled once per instruction set: one block of elements.
#pragma once

#include <cstdint>

#include "kernels/gramian.h"

namespace mtl {

constexpr int64_t kGramianBlockElements = 1024;

struct GramianBlock {
  const void* const* rows;  // [num_rows] elements of each task's tensor, of `type`
  int num_rows;             // at most kMaxGramianTasks
  int64_t begin;            // first element
  int64_t count;            // at most kGramianBlockElements
  GradientType type;
  float* scratch;  // [num_rows, kGramianBlockElements], used unless `type` is float32
  double* sums;    // [num_rows, num_rows], the lower triangle is added to
};

// Adds the inner products of all pairs of rows, by the best instruction set of this CPU.
void AddGramianBlock(const GramianBlock& block);

}  // namespace mtl
