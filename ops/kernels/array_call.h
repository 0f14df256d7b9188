// An op on feature maps as every adapter sees it: arrays in, arrays out, whatever framework owns
// them. An adapter describes the inputs, asks `check` for what the results must be, allocates them
// and calls `run`; it knows nothing of the single ops.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/element_type.h"

namespace mtl {

enum class ArrayType { float32, bfloat16, float16, int32, other };

using Dims = std::vector<int64_t>;

struct ArraySpec {
  ArrayType type = ArrayType::other;
  Dims dims;
};

struct ArrayCall {
  std::vector<ArraySpec> specs;     // of the inputs
  std::vector<const void*> inputs;  // dense, row-major; null while only checking
  std::vector<void*> results;       // dense, row-major
  std::vector<int64_t> numbers;     // the op's own, see feature_ops.cc
};

struct FeatureOp {
  const char* name;

  // Finds the results' types and shapes. Returns what is wrong with the call, or an empty string.
  std::string (*check)(const ArrayCall& call, std::vector<ArraySpec>* results);

  void (*run)(const ArrayCall& call, const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
  // Doubles that `run_cuda` needs on the device; null: none.
  int64_t (*workspace_size)(const ArrayCall& call);
  CudaStatus (*run_cuda)(const ArrayCall& call, double* workspace, CudaStream stream);
#endif
};

const std::vector<FeatureOp>& FeatureOps();

// The op of that name, or null.
inline const FeatureOp* FindFeatureOp(const std::string& name) {
  for (const FeatureOp& op : FeatureOps()) {
    if (name == op.name) return &op;
  }
  return nullptr;
}

}  // namespace mtl
