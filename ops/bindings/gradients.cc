// Bindings of the kernels on task gradients: lists of NumPy arrays in and out, GIL released.
#include "bindings/arrays.h"
#include "kernels/gradients/grad_drop.h"
#include "kernels/gradients/gradient_projection.h"
#include "kernels/gradients/gramian.h"
#include "kernels/gradients/weighted_sum.h"

namespace mtl {
namespace {

py::array_t<double> GramianOfArrays(const std::vector<Arrays>& task_gradients, int num_threads) {
  ArrayGradients gradients(task_gradients);
  const ParallelFor threads = Threads(num_threads);
  py::array_t<double> gramian({gradients.num_tasks(), gradients.num_tasks()});
  const GramianArgs args{gradients.View(), gramian.mutable_data()};
  {
    py::gil_scoped_release released;
    Gramian(args, threads);
  }
  return gramian;
}

Arrays WeightedSumOfArrays(const std::vector<Arrays>& task_gradients,
                           const py::array_t<double, py::array::c_style>& weights,
                           int num_threads) {
  ArrayGradients gradients(task_gradients);
  const ParallelFor threads = Threads(num_threads);
  if (weights.ndim() != 1 || weights.shape(0) != gradients.num_tasks()) {
    throw py::value_error("weights: expected shape [" + std::to_string(gradients.num_tasks()) +
                          "]");
  }
  Arrays sums = gradients.NewResults();
  const std::vector<void*> pointers = Pointers(sums);
  const WeightedSumArgs args{gradients.View(), weights.data(), pointers.data()};
  {
    py::gil_scoped_release released;
    WeightedSum(args, threads);
  }
  return sums;
}

std::pair<Arrays, py::array_t<double>> GradientProjectionOfArrays(
    const std::vector<Arrays>& task_gradients, const Order& order, int num_threads) {
  ArrayGradients gradients(task_gradients);
  const ParallelFor threads = Threads(num_threads);
  RequireOrder(order, gradients.num_tasks());
  Arrays directions = gradients.NewResults();
  const std::vector<void*> pointers = Pointers(directions);
  py::array_t<double> weights(gradients.num_tasks());
  const GradientProjectionArgs args{gradients.View(), order.data(), pointers.data(),
                                    weights.mutable_data()};
  {
    py::gil_scoped_release released;
    GradientProjection(args, threads);
  }
  return {std::move(directions), std::move(weights)};
}

Arrays GradDropOfArrays(
    const std::vector<Arrays>& task_gradients,
    const std::vector<std::optional<py::array_t<float, py::array::c_style>>>& uniform,
    const py::array_t<float, py::array::c_style>& leak, int num_threads) {
  ArrayGradients gradients(task_gradients);
  const ParallelFor threads = Threads(num_threads);
  if (leak.ndim() != 1 || leak.shape(0) != gradients.num_tasks()) {
    throw py::value_error("leak: expected shape [" + std::to_string(gradients.num_tasks()) + "]");
  }
  const TaskGradients view = gradients.View();
  if (static_cast<int>(uniform.size()) != view.num_tensors) {
    throw py::value_error("uniform: expected " + std::to_string(view.num_tensors) +
                          " arrays, received " + std::to_string(uniform.size()));
  }
  std::vector<const float*> uniform_pointers(view.num_tensors, nullptr);
  for (int v = 0; v < view.num_tensors; ++v) {
    if (view.sizes[v] == 0) continue;
    if (!uniform[v] || uniform[v]->size() != view.sizes[v]) {
      throw py::value_error("uniform: expected " + std::to_string(view.sizes[v]) +
                            " elements in tensor " + std::to_string(v));
    }
    uniform_pointers[v] = uniform[v]->data();
  }
  Arrays directions = gradients.NewResults();
  const std::vector<void*> pointers = Pointers(directions);
  const GradDropArgs args{view, uniform_pointers.data(), leak.data(), pointers.data()};
  {
    py::gil_scoped_release released;
    GradDrop(args, threads);
  }
  return directions;
}

}  // namespace

void BindGradients(py::module_& module) {
  module.def("gramian", &GramianOfArrays, py::arg("task_gradients"), py::arg("num_threads") = 1,
             "Inner products [K, K] float64 of K lists of V arrays (float32, bfloat16 or float16);"
             " None stands for zero.");
  module.def("weighted_sum", &WeightedSumOfArrays, py::arg("task_gradients"), py::arg("weights"),
             py::arg("num_threads") = 1,
             "Weighted sum of K lists of V arrays: a list of V arrays.");
  module.def("gradient_projection", &GradientProjectionOfArrays, py::arg("task_gradients"),
             py::arg("order"), py::arg("num_threads") = 1,
             "PCGrad: (list of V arrays, weights [K]) for the order [K, K-1] of projections.");
  module.def("grad_drop", &GradDropOfArrays, py::arg("task_gradients"), py::arg("uniform"),
             py::arg("leak"), py::arg("num_threads") = 1,
             "GradDrop with the random numbers `uniform` (V arrays) and the leak [K].");
}

}  // namespace mtl
