// Balance in the table: how the arrays of a call become their arguments.
#include "kernels/balance_names.h"
#include "kernels/gradients/task_gradients.h"
#include "kernels/op_table.h"

namespace mtl {
namespace {

// inputs: gramian [K, K], preference [K], order [K, K-1] int32, targets [K, K], parameter [];
//   all float64 but the order; preference, order and targets may have no elements: not given
// numbers: a BalanceMethod, an AlignedScale
// results: weights [K], status [] int32, residual [], new targets [K, K]
class BalanceCall final : public PreparedCall {
 public:
  Error Read(const CallSpec& spec) {
    if (spec.inputs.size() != 5 || spec.numbers.size() != 2) {
      return "expected 5 inputs, the method and the scale";
    }
    if (Error error = CheckBalanceNumbers(spec.numbers[0], spec.numbers[1])) return error;
    const ArraySpec& gramian = spec.inputs[0];
    if (gramian.dims.size() != 2 || gramian.dims[0] != gramian.dims[1]) {
      return "gramian: expected shape [K, K], received " + Text(gramian.dims);
    }
    const int64_t num_tasks = gramian.dims[0];
    if (Error error = CheckNumTasks(num_tasks)) return error;
    const Dims matrix = {num_tasks, num_tasks};
    if (Error error = Expect(gramian, "gramian", DType::float64, matrix)) return error;
    struct Optional {
      const char* name;
      DType dtype;
      Dims dims;
    };
    const Optional optional[] = {{"preference", DType::float64, {num_tasks}},
                                 {"order", DType::int32, {num_tasks, num_tasks - 1}},
                                 {"targets", DType::float64, matrix}};
    for (int n = 0; n < 3; ++n) {
      const ArraySpec& input = spec.inputs[n + 1];
      const auto& [name, dtype, dims] = optional[n];
      is_given_[n] = NumElements(input.dims) > 0;
      if (!is_given_[n]) continue;
      if (Error error = Expect(input, name, dtype, dims)) return error;
    }
    if (spec.inputs[4].dtype != DType::float64 || NumElements(spec.inputs[4].dims) != 1) {
      return "parameter: expected a float64 scalar";
    }
    num_tasks_ = static_cast<int>(num_tasks);
    method_ = static_cast<BalanceMethod>(spec.numbers[0]);
    scale_ = static_cast<AlignedScale>(spec.numbers[1]);
    results_ = {{DType::float64, {num_tasks}},
                {DType::int32, {}},
                {DType::float64, {}},
                {DType::float64, matrix}};
    return {};
  }

  Error Run(const Buffers& buffers, const ParallelFor& /*one thread*/) const override {
    const BalanceArgs args = Arguments(buffers);
    if (Error error = CheckBalanceParameter(method_, *args.parameter)) return error;
    if (args.order != nullptr) {
      if (Error error = CheckOrder(args.order, num_tasks_)) return error;
    }
    std::vector<double> workspace(BalanceWorkspaceSize(num_tasks_));
    Balance(args, workspace.data());
    return {};
  }
  MTL_CUDA_WORKSPACE(BalanceWorkspaceSize(num_tasks_))
  MTL_ON_CUDA(BalanceCuda(Arguments(buffers), workspace, stream))

 private:
  BalanceArgs Arguments(const Buffers& buffers) const {
    BalanceArgs args{};
    args.num_tasks = num_tasks_;
    args.method = method_;
    args.scale = scale_;
    args.gramian = static_cast<const double*>(buffers.inputs[0]);
    if (is_given_[0]) args.preference = static_cast<const double*>(buffers.inputs[1]);
    if (is_given_[1]) args.order = static_cast<const int32_t*>(buffers.inputs[2]);
    if (is_given_[2]) args.targets = static_cast<const double*>(buffers.inputs[3]);
    args.parameter = static_cast<const double*>(buffers.inputs[4]);
    args.weights = static_cast<double*>(buffers.results[0]);
    args.status = static_cast<int32_t*>(buffers.results[1]);
    args.residual = static_cast<double*>(buffers.results[2]);
    args.new_targets = static_cast<double*>(buffers.results[3]);
    return args;
  }

  int num_tasks_ = 0;
  BalanceMethod method_ = BalanceMethod::mgda;
  AlignedScale scale_ = AlignedScale::min;
  bool is_given_[3] = {};
};

}  // namespace

std::vector<Op> BalanceOps() { return {{"Balance", Prepare<BalanceCall>, true}}; }

}  // namespace mtl
