// All native ops as every adapter sees them: arrays in, arrays out, whatever framework owns them.
//
// An adapter describes the inputs, lets the op prepare the call, allocates the results that the
// call names, and runs it. It knows nothing of the single ops, and an op nothing of frameworks.
//
//   CallSpec --op.prepare--> PreparedCall --Run or RunCuda on Buffers--> results
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/dtype.h"
#include "kernels/error.h"

namespace mtl {

using Dims = std::vector<int64_t>;

struct ArraySpec {
  DType dtype = DType::other;
  Dims dims;
};

// A call before there is memory.
struct CallSpec {
  std::vector<ArraySpec> inputs;
  std::vector<int64_t> numbers;  // the op's own, documented above its class
};

// The memory of a call: dense, row-major.
struct Buffers {
  std::vector<const void*> inputs;
  std::vector<void*> results;
};

// A call whose types, shapes and numbers have been checked, with what was parsed on the way.
class PreparedCall {
 public:
  virtual ~PreparedCall() = default;

  const std::vector<ArraySpec>& results() const { return results_; }

  // Inputs whose memory result `n` may take, if nobody else needs it.
  const std::vector<int>& MayReplace(size_t n) const {
    static const std::vector<int> none;
    return n < replaceable_.size() ? replaceable_[n] : none;
  }

  // Returns what is wrong with the values of small inputs (an order of tasks, a parameter).
  virtual Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const = 0;

#if defined(MTL_WITH_CUDA)
  // Doubles that `RunCuda` needs as `workspace`. All memory is the device's.
  virtual int64_t WorkspaceSize(const Buffers& /*buffers*/) const { return 0; }
  virtual CudaStatus RunCuda(const Buffers& buffers, double* workspace,
                             CudaStream stream) const = 0;
#endif

 protected:
  std::vector<ArraySpec> results_;
  std::vector<std::vector<int>> replaceable_;  // by result; shorter: none
};

// The CUDA part of a call: an expression of `buffers`, `workspace` and `stream`.
#if defined(MTL_WITH_CUDA)
#define MTL_ON_CUDA(expression)                                                  \
  CudaStatus RunCuda(const Buffers& buffers, [[maybe_unused]] double* workspace, \
                     CudaStream stream) const override {                         \
    return expression;                                                           \
  }
#define MTL_CUDA_WORKSPACE(expression)                                            \
  int64_t WorkspaceSize([[maybe_unused]] const Buffers& buffers) const override { \
    return expression;                                                            \
  }
#else
#define MTL_ON_CUDA(expression)
#define MTL_CUDA_WORKSPACE(expression)
#endif

struct Op {
  const char* name;
  Error (*prepare)(const CallSpec& spec, std::unique_ptr<const PreparedCall>* call);
  bool needs_workspace;  // on a GPU
};

// `Op::prepare` of a class with `Error Read(const CallSpec&)`.
template <typename Call>
Error Prepare(const CallSpec& spec, std::unique_ptr<const PreparedCall>* call) {
  auto read = std::make_unique<Call>();
  if (Error error = read->Read(spec)) return error;
  *call = std::move(read);
  return {};
}

// The rows of the table, each beside its class.
std::vector<Op> GradientOps();               // gradient_ops.cc
std::vector<Op> BalanceOps();                // balance_op.cc
std::vector<Op> AttentionDistillationOps();  // attention_distillation_op.cc
std::vector<Op> CrossStitchOps();            // cross_stitch_op.cc
std::vector<Op> AffinityDiffusionOps();      // affinity_diffusion_op.cc
std::vector<Op> UpsampleLossOps();           // upsample_loss_op.cc

// All of them.
const std::vector<Op>& Ops();

// The op of that name, or null.
const Op* FindOp(const std::string& name);

// === What the ops check alike ===

int64_t NumElements(const Dims& dims);
std::string Text(const Dims& dims);         // "[2, 3]"
const char* NameOf(DType dtype);            // "float32"; "an unknown type"
DType DTypeNamed(const std::string& name);  // DType::other for another name
bool IsFeatureType(DType dtype);            // float32, bfloat16 or float16

// An error unless `spec` is of this type and shape.
Error Expect(const ArraySpec& spec, const char* name, DType dtype, const Dims& dims);

}  // namespace mtl
