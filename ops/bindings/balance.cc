// Binding of the solvers: a NumPy Gramian in, weights and report out.
#include "bindings/arrays.h"
#include "kernels/balance_names.h"

namespace mtl {
namespace {

using Doubles = py::array_t<double, py::array::c_style>;

py::tuple BalanceOfArray(const Doubles& gramian, const std::string& method, double parameter,
                         const std::string& scale, const std::optional<Doubles>& preference,
                         const std::optional<Order>& order, const std::optional<Doubles>& targets) {
  if (gramian.ndim() != 2 || gramian.shape(0) != gramian.shape(1)) {
    throw py::value_error("gramian: expected shape [K, K]");
  }
  Require(CheckNumTasks(gramian.shape(0)));
  const int num_tasks = static_cast<int>(gramian.shape(0));
  BalanceArgs args{};
  args.num_tasks = num_tasks;
  args.gramian = gramian.data();
  Require(ParseBalanceMethod(method, &args.method));
  Require(ParseAlignedScale(scale, &args.scale));
  Require(CheckBalanceParameter(args.method, parameter));
  args.parameter = &parameter;
  if (preference) {
    if (preference->ndim() != 1 || preference->shape(0) != num_tasks) {
      throw py::value_error("preference: expected shape [" + std::to_string(num_tasks) + "]");
    }
    args.preference = preference->data();
  }
  if (order) {
    RequireOrder(*order, num_tasks);
    args.order = order->data();
  }
  if (targets) {
    if (targets->ndim() != 2 || targets->shape(0) != num_tasks || targets->shape(1) != num_tasks) {
      throw py::value_error("targets: expected shape [K, K]");
    }
    args.targets = targets->data();
  }
  Doubles weights(num_tasks), new_targets({num_tasks, num_tasks});
  int32_t status;
  double residual;
  args.weights = weights.mutable_data();
  args.new_targets = new_targets.mutable_data();
  args.status = &status;
  args.residual = &residual;
  std::vector<double> workspace(BalanceWorkspaceSize(num_tasks));
  {
    py::gil_scoped_release released;
    Balance(args, workspace.data());
  }
  return py::make_tuple(weights, status, residual, new_targets);
}

}  // namespace

void BindBalance(py::module_& module) {
  module.def("balance", &BalanceOfArray, py::arg("gramian"), py::arg("method"),
             py::arg("parameter") = 1.0, py::arg("scale") = "min",
             py::arg("preference") = py::none(), py::arg("order") = py::none(),
             py::arg("targets") = py::none(),
             "(weights [K], status, residual, new targets [K, K]) of a Gramian [K, K] float64.");
}

}  // namespace mtl
