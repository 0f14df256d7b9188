// Binding of the Gramian: lists of NumPy arrays in, float64 array out, GIL released meanwhile.
#include "kernels/gramian.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace py = pybind11;

namespace mtl {
namespace {

using TaskGradients = std::vector<std::vector<std::optional<py::array>>>;

GradientType ToGradientType(const py::array& array) {
  const std::string name = py::str(array.dtype());
  if (name == "float32") return GradientType::float32;
  if (name == "float16") return GradientType::float16;
  if (name == "bfloat16") return GradientType::bfloat16;
  throw py::value_error("expected gradients of float32, bfloat16 or float16, received " + name);
}

ParallelFor Threads(int num_threads) {
  return [num_threads](int64_t count, int64_t /*cost_ns*/,
                       const std::function<void(int64_t)>& body) {
    const int64_t available = std::max<int64_t>(1, std::thread::hardware_concurrency());
    const int64_t used = std::max<int64_t>(1, std::min({int64_t{num_threads}, count, available}));
    if (used == 1) return RunInOrder(count, 0, body);
    std::vector<std::thread> threads;
    for (int64_t t = 0; t < used; ++t) {
      threads.emplace_back([=, &body] {
        for (int64_t i = t * count / used; i < (t + 1) * count / used; ++i) body(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
}

py::array_t<double> GramianOfArrays(const TaskGradients& task_gradients, int num_threads) {
  if (task_gradients.empty()) throw py::value_error("expected at least one task, received none");
  if (task_gradients.size() > kMaxGramianTasks) {
    throw py::value_error("expected at most " + std::to_string(kMaxGramianTasks) +
                          " tasks, received " + std::to_string(task_gradients.size()));
  }
  if (num_threads < 1) {
    throw py::value_error("expected num_threads >= 1, received " + std::to_string(num_threads));
  }
  const int num_tasks = static_cast<int>(task_gradients.size());
  const int num_tensors = static_cast<int>(task_gradients[0].size());
  std::vector<const void*> gradients(static_cast<size_t>(num_tasks) * num_tensors, nullptr);
  std::vector<int64_t> sizes(num_tensors, 0);
  std::optional<GradientType> type;
  for (int k = 0; k < num_tasks; ++k) {
    if (static_cast<int>(task_gradients[k].size()) != num_tensors) {
      throw py::value_error(
          "expected " + std::to_string(num_tensors) + " tensors for every task, received " +
          std::to_string(task_gradients[k].size()) + " for task " + std::to_string(k));
    }
    for (int v = 0; v < num_tensors; ++v) {
      const std::optional<py::array>& array = task_gradients[k][v];
      if (!array || array->size() == 0) continue;
      const std::string where =
          "tensor " + std::to_string(v) + " of task " + std::to_string(k) + ": ";
      const auto address = reinterpret_cast<uintptr_t>(array->data());
      if (!(array->flags() & py::array::c_style) || address % array->itemsize() != 0) {
        throw py::value_error(where + "expected a C-contiguous, aligned array");
      }
      if (sizes[v] != 0 && sizes[v] != array->size()) {
        throw py::value_error(where + "expected " + std::to_string(sizes[v]) +
                              " elements like the other tasks, received " +
                              std::to_string(array->size()));
      }
      if (type && *type != ToGradientType(*array)) {
        throw py::value_error(where + "expected one dtype for all gradients");
      }
      type = ToGradientType(*array);
      sizes[v] = array->size();
      gradients[static_cast<size_t>(k) * num_tensors + v] = array->data();
    }
  }
  py::array_t<double> gramian({num_tasks, num_tasks});
  const GramianArgs args{num_tasks,
                         num_tensors,
                         gradients.data(),
                         sizes.data(),
                         type.value_or(GradientType::float32),
                         gramian.mutable_data()};
  {
    py::gil_scoped_release released;
    Gramian(args, Threads(num_threads));
  }
  return gramian;
}

}  // namespace

void BindGramian(py::module_& module) {
  module.def("gramian", &GramianOfArrays, py::arg("task_gradients"), py::arg("num_threads") = 1,
             "Inner products [K, K] float64 of K lists of V arrays (float32, bfloat16 or float16);"
             " None stands for zero.");
}

}  // namespace mtl
