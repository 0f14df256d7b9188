// The ops on task gradients in the table: how the arrays of a call become a kernel's arguments.
//
// inputs: the gradients that are not zero, then the op's own
// numbers: K, V, then for each gradient its slot: gradient n is tensor slot % V of task slot / V
#include <optional>

#include "kernels/gradients/grad_drop.h"
#include "kernels/gradients/gradient_projection.h"
#include "kernels/gradients/gramian.h"
#include "kernels/gradients/weighted_sum.h"
#include "kernels/op_table.h"

namespace mtl {
namespace {

class TaskGradientCall : public PreparedCall {
 protected:
  // The gradients of one call as kernels receive them.
  struct Table {
    std::vector<const void*> pointers;  // [K, V]
    TaskGradients view;
  };

  Error ReadGradients(const CallSpec& spec) {
    if (Error error = CheckTaskNumbers(spec.numbers)) return error;
    num_tasks_ = static_cast<int>(spec.numbers[0]);
    num_tensors_ = static_cast<int>(spec.numbers[1]);
    slots_.assign(spec.numbers.begin() + 2, spec.numbers.end());
    if (slots_.size() > spec.inputs.size()) return "slots must name one slot per gradient";
    dtype_ = slots_.empty() ? DType::float32 : spec.inputs[0].dtype;
    if (!IsFeatureType(dtype_)) {
      return std::string("task_gradients: expected float32, bfloat16 or float16, received ") +
             NameOf(dtype_);
    }
    shapes_.assign(num_tensors_, std::nullopt);
    sizes_.assign(num_tensors_, 0);
    for (size_t n = 0; n < slots_.size(); ++n) {
      if (Error error = ReadGradient(slots_[n], spec.inputs[n])) return error;
    }
    return {};
  }

  // Results 0 .. V - 1, shaped like the gradients of their tensor.
  Error AddResultsOfTensors() {
    for (const std::optional<Dims>& shape : shapes_) {
      if (!shape) return "every tensor needs the gradient of at least one task";
      results_.push_back({dtype_, *shape});
    }
    return {};
  }

  // The op's own input `n`.
  template <typename T>
  const T* Own(const Buffers& buffers, int n = 0) const {
    return static_cast<const T*>(buffers.inputs[slots_.size() + n]);
  }

  // An error unless the op has `count` inputs of its own; they begin at `*first`.
  Error ReadOwn(const CallSpec& spec, int count, const ArraySpec** first) const {
    const size_t expected = slots_.size() + count;
    *first = spec.inputs.data() + slots_.size();
    if (spec.inputs.size() == expected) return {};
    return "expected " + std::to_string(expected) + " inputs, received " +
           std::to_string(spec.inputs.size());
  }

  Table GradientsOf(const Buffers& buffers) const {
    Table table;
    table.pointers.assign(static_cast<size_t>(num_tasks_) * num_tensors_, nullptr);
    for (size_t n = 0; n < slots_.size(); ++n) {
      if (sizes_[slots_[n] % num_tensors_] > 0) table.pointers[slots_[n]] = buffers.inputs[n];
    }
    table.view.num_tasks = num_tasks_;
    table.view.num_tensors = num_tensors_;
    table.view.gradients = table.pointers.data();
    table.view.sizes = sizes_.data();
    table.view.type = dtype_;
    return table;
  }

  int num_tasks_ = 0;
  int num_tensors_ = 0;
  DType dtype_ = DType::float32;
  std::vector<int64_t> slots_;
  std::vector<int64_t> sizes_;               // of the tensors
  std::vector<std::optional<Dims>> shapes_;  // of the tensors that a task has

 private:
  Error ReadGradient(int64_t slot, const ArraySpec& gradient) {
    if (gradient.dtype != dtype_) return "task_gradients: expected one dtype for all gradients";
    std::optional<Dims>& shape = shapes_[slot % num_tensors_];
    if (shape && *shape != gradient.dims) {
      return "task_gradients: expected one shape for tensor " +
             std::to_string(slot % num_tensors_) + " of all tasks, " + Text(*shape) +
             ", received " + Text(gradient.dims);
    }
    shape = gradient.dims;
    sizes_[slot % num_tensors_] = NumElements(gradient.dims);
    return {};
  }
};

// results: gramian [K, K] float64
class GramianCall final : public TaskGradientCall {
 public:
  Error Read(const CallSpec& spec) {
    const ArraySpec* own;
    if (Error error = ReadGradients(spec)) return error;
    if (Error error = ReadOwn(spec, 0, &own)) return error;
    results_.push_back({DType::float64, {num_tasks_, num_tasks_}});
    return {};
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    Gramian(Arguments(buffers, GradientsOf(buffers)), parallel_for);
    return {};
  }
  MTL_CUDA_WORKSPACE(GramianWorkspaceSize(GradientsOf(buffers).view))
  MTL_ON_CUDA(GramianCuda(Arguments(buffers, GradientsOf(buffers)), workspace, stream))

 private:
  GramianArgs Arguments(const Buffers& buffers, const Table& table) const {
    GramianArgs args{};
    args.gradients = table.view;
    args.gramian = static_cast<double*>(buffers.results[0]);
    return args;
  }
};

// own inputs: weights [K] float64
// results: V sums
class WeightedSumCall final : public TaskGradientCall {
 public:
  Error Read(const CallSpec& spec) {
    const ArraySpec* own;
    if (Error error = ReadGradients(spec)) return error;
    if (Error error = ReadOwn(spec, 1, &own)) return error;
    if (Error error = Expect(own[0], "weights", DType::float64, {num_tasks_})) return error;
    // The kernel reads an element of all tasks before it writes it.
    replaceable_.resize(num_tensors_);
    for (size_t n = 0; n < slots_.size(); ++n) {
      replaceable_[slots_[n] % num_tensors_].push_back(static_cast<int>(n));
    }
    return AddResultsOfTensors();
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    WeightedSum(Arguments(buffers, GradientsOf(buffers)), parallel_for);
    return {};
  }
  MTL_ON_CUDA(WeightedSumCuda(Arguments(buffers, GradientsOf(buffers)), stream))

 private:
  WeightedSumArgs Arguments(const Buffers& buffers, const Table& table) const {
    WeightedSumArgs args{};
    args.gradients = table.view;
    args.weights = Own<double>(buffers);
    args.sums = buffers.results.data();
    return args;
  }
};

// own inputs: V uniform random numbers float32, leak [K] float32
// results: V directions
class GradDropCall final : public TaskGradientCall {
 public:
  Error Read(const CallSpec& spec) {
    const ArraySpec* own;
    if (Error error = ReadGradients(spec)) return error;
    if (Error error = ReadOwn(spec, num_tensors_ + 1, &own)) return error;
    for (int v = 0; v < num_tensors_; ++v) {
      const int64_t received = NumElements(own[v].dims);
      if (own[v].dtype == DType::float32 && received == sizes_[v]) continue;
      return "uniform: expected " + std::to_string(sizes_[v]) + " elements in tensor " +
             std::to_string(v) + " of float32, received " + std::to_string(received) + " of " +
             NameOf(own[v].dtype);
    }
    if (Error error = Expect(own[num_tensors_], "leak", DType::float32, {num_tasks_})) return error;
    return AddResultsOfTensors();
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    GradDrop(Arguments(buffers, GradientsOf(buffers), UniformOf(buffers)), parallel_for);
    return {};
  }
  MTL_ON_CUDA(GradDropCuda(Arguments(buffers, GradientsOf(buffers), UniformOf(buffers)), stream))

 private:
  std::vector<const float*> UniformOf(const Buffers& buffers) const {
    std::vector<const float*> uniform(num_tensors_);
    for (int v = 0; v < num_tensors_; ++v) uniform[v] = Own<float>(buffers, v);
    return uniform;
  }
  GradDropArgs Arguments(const Buffers& buffers, const Table& table,
                         const std::vector<const float*>& uniform) const {
    GradDropArgs args{};
    args.gradients = table.view;
    args.uniform = uniform.data();
    args.leak = Own<float>(buffers, num_tensors_);
    args.directions = buffers.results.data();
    return args;
  }
};

// own inputs: order [K, K-1] int32
// results: V directions, weights [K] float64
class GradientProjectionCall final : public TaskGradientCall {
 public:
  Error Read(const CallSpec& spec) {
    const ArraySpec* own;
    if (Error error = ReadGradients(spec)) return error;
    if (Error error = ReadOwn(spec, 1, &own)) return error;
    const Dims shape = {num_tasks_, num_tasks_ - 1};
    if (Error error = Expect(own[0], "order", DType::int32, shape)) return error;
    if (Error error = AddResultsOfTensors()) return error;
    results_.push_back({DType::float64, {num_tasks_}});
    return {};
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    if (Error error = CheckOrder(Own<int32_t>(buffers), num_tasks_)) return error;
    GradientProjection(Arguments(buffers, GradientsOf(buffers)), parallel_for);
    return {};
  }
  MTL_CUDA_WORKSPACE(GradientProjectionWorkspaceSize(GradientsOf(buffers).view))
  MTL_ON_CUDA(GradientProjectionCuda(Arguments(buffers, GradientsOf(buffers)), workspace, stream))

 private:
  GradientProjectionArgs Arguments(const Buffers& buffers, const Table& table) const {
    GradientProjectionArgs args{};
    args.gradients = table.view;
    args.order = Own<int32_t>(buffers);
    args.directions = buffers.results.data();
    args.weights = static_cast<double*>(buffers.results.back());
    return args;
  }
};

}  // namespace

std::vector<Op> GradientOps() {
  return {
      {"Gramian", Prepare<GramianCall>, true},
      {"WeightedSum", Prepare<WeightedSumCall>, false},
      {"GradDrop", Prepare<GradDropCall>, false},
      {"GradientProjection", Prepare<GradientProjectionCall>, true},
  };
}

}  // namespace mtl
