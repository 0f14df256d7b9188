// What every binding on NumPy arrays needs: checked task gradients, results, threads.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cpu/parallel_for.h"
#include "kernels/gradients/task_gradients.h"

namespace mtl {

namespace py = pybind11;

using Arrays = std::vector<std::optional<py::array>>;

inline void Require(const std::string& what_is_wrong) {
  if (!what_is_wrong.empty()) throw py::value_error(what_is_wrong);
}

inline ElementType ElementTypeNamed(const std::string& name) {
  if (name == "float32") return ElementType::float32;
  if (name == "float16") return ElementType::float16;
  if (name == "bfloat16") return ElementType::bfloat16;
  throw py::value_error("task_gradients: expected float32, bfloat16 or float16 arrays, received " +
                        name);
}

inline void RequireContiguous(const py::array& array, const std::string& name) {
  const auto address = reinterpret_cast<uintptr_t>(array.data());
  if (!(array.flags() & py::array::c_style) || address % array.itemsize() != 0) {
    throw py::value_error(name + ": expected C-contiguous, aligned arrays");
  }
}

// K lists of V arrays as the kernels receive them. Keeps the arrays alive.
class ArrayGradients {
 public:
  explicit ArrayGradients(const std::vector<Arrays>& tasks) : tasks_(tasks) {
    Require(CheckNumTasks(tasks.size()));
    const size_t num_tensors = tasks[0].size();
    shapes_.resize(num_tensors);
    for (size_t k = 0; k < tasks.size(); ++k) {
      if (tasks[k].size() != num_tensors) {
        throw py::value_error("task_gradients: expected " + std::to_string(num_tensors) +
                              " tensors for every task, received " +
                              std::to_string(tasks[k].size()) + " for task " + std::to_string(k));
      }
      for (const auto& array : tasks[k]) {
        if (!array) continue;
        if (!dtype_) dtype_ = array->dtype();
        if (!dtype_->equal(array->dtype())) {
          throw py::value_error("task_gradients: expected one dtype for all gradients");
        }
      }
    }
    const ElementType type = dtype_ ? ElementTypeNamed(py::str(*dtype_)) : ElementType::float32;
    table_.emplace(static_cast<int>(tasks.size()), static_cast<int>(num_tensors), type);
    for (size_t k = 0; k < tasks.size(); ++k) {
      for (size_t v = 0; v < num_tensors; ++v) {
        const auto& array = tasks[k][v];
        if (!array) continue;
        RequireContiguous(*array, "task_gradients");
        const std::vector<py::ssize_t> shape(array->shape(), array->shape() + array->ndim());
        if (shapes_[v] && *shapes_[v] != shape) {
          throw py::value_error("task_gradients: expected one shape for tensor " +
                                std::to_string(v) + " of all tasks");
        }
        shapes_[v] = shape;
        Require(table_->Set(k * num_tensors + v, array->data(), array->size()));
      }
    }
  }

  TaskGradients View() { return table_->View(); }
  int num_tasks() const { return static_cast<int>(tasks_.size()); }

  // One new array per tensor that any task has, None for the others.
  Arrays NewResults() const {
    Arrays results;
    for (const auto& shape : shapes_) {
      results.push_back(shape ? std::optional<py::array>(py::array(*dtype_, *shape))
                              : std::nullopt);
    }
    return results;
  }

 private:
  const std::vector<Arrays>& tasks_;
  std::optional<py::dtype> dtype_;
  std::optional<TaskGradientTable> table_;
  std::vector<std::optional<std::vector<py::ssize_t>>> shapes_;
};

inline std::vector<void*> Pointers(Arrays& arrays) {
  std::vector<void*> pointers;
  for (auto& array : arrays) pointers.push_back(array ? array->mutable_data() : nullptr);
  return pointers;
}

// [K, K-1] int32, each row a permutation of the other tasks.
using Order = py::array_t<int32_t, py::array::c_style>;

inline void RequireOrder(const Order& order, int num_tasks) {
  if (order.ndim() != 2 || order.shape(0) != num_tasks || order.shape(1) != num_tasks - 1) {
    throw py::value_error("order: expected shape [" + std::to_string(num_tasks) + ", " +
                          std::to_string(num_tasks - 1) + "]");
  }
  Require(CheckOrder(order.data(), num_tasks));
}

// Threads of the binding's own, for benchmarks and tests without TensorFlow.
inline ParallelFor Threads(int num_threads) {
  if (num_threads < 1) {
    throw py::value_error("num_threads: expected at least 1, received " +
                          std::to_string(num_threads));
  }
  return [num_threads](int64_t count, int64_t /*cost_ns*/,
                       const std::function<void(int64_t)>& body) {
    const int64_t available = std::max<int64_t>(1, std::thread::hardware_concurrency());
    const int64_t used = std::max<int64_t>(1, std::min({int64_t{num_threads}, count, available}));
    std::vector<std::thread> threads;
    const auto run = [&](int64_t t) {
      for (int64_t i = t * count / used; i < (t + 1) * count / used; ++i) body(i);
    };
    for (int64_t t = 1; t < used; ++t) threads.emplace_back(run, t);
    run(0);
    for (std::thread& thread : threads) thread.join();
  };
}

}  // namespace mtl
