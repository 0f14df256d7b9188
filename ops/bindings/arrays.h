// What the bindings of all ops share, whatever memory their arrays are in.
//
// A `Memory` says how arrays of Python enter and results leave; HostMemory (numpy.cc) and
// DeviceMemory (cuda.cc) have the same members:
//
//   Any, Typed<T>          an argument of any type; one of a known type
//   Array                  a result
//   Memory(where)          `where` is a number of threads, or a stream
//   View(Any) -> Input     an argument in place; Scalar(double) -> Input
//   Make(ArraySpec) -> Array, Data(Array), ToScalar<T>(Array)
//   Run(op, call, buffers)
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/balance_names.h"
#include "kernels/gradients/task_gradients.h"
#include "kernels/op_table.h"

namespace mtl {

namespace py = pybind11;

struct Input {
  ArraySpec spec;
  const void* data = nullptr;
};

inline void RequireKnown(DType dtype, const std::string& name) {
  if (dtype != DType::other) return;
  throw py::value_error("expected float32, bfloat16, float16, float64 or int32, received " + name);
}

inline void Require(const Error& error) {
  if (error) throw py::value_error(error.text);
}

// One call of an op of the table: inputs one by one, then `Results`.
template <typename Memory>
class OpCall {
 public:
  using Any = typename Memory::Any;
  using Array = typename Memory::Array;

  OpCall(const char* op, int64_t where) : op_(FindOp(op)), memory_(where) {}

  Memory& memory() { return memory_; }
  void AddNumbers(const std::vector<int64_t>& numbers) {
    spec_.numbers.insert(spec_.numbers.end(), numbers.begin(), numbers.end());
  }
  void Add(const Input& input) {
    spec_.inputs.push_back(input.spec);
    buffers_.inputs.push_back(input.data);
  }
  void Add(const Any& array) { Add(memory_.View(array)); }
  // An array without elements stands for one that is not given: one that is given must have some.
  void AddOptional(const std::optional<Any>& array, const char* name, DType dtype) {
    if (!array) return Add(Input{{dtype, {0}}, nullptr});
    const Input input = memory_.View(*array);
    const bool is_order_of_one_task = input.spec.dims == Dims{1, 0};
    if (NumElements(input.spec.dims) == 0 && !is_order_of_one_task) {
      throw py::value_error(std::string(name) + ": expected at least one element, received shape " +
                            Text(input.spec.dims));
    }
    Add(input);
  }

  // K lists of V arrays, of which None stands for zero. A tensor that no task has takes no part.
  void AddTaskGradients(const std::vector<std::vector<std::optional<Any>>>& tasks) {
    Require(CheckNumTasks(tasks.size()));
    num_tasks_ = static_cast<int64_t>(tasks.size());
    is_present_.assign(tasks[0].size(), false);
    for (size_t k = 0; k < tasks.size(); ++k) {
      if (tasks[k].size() != is_present_.size()) {
        throw py::value_error("task_gradients: expected " + std::to_string(is_present_.size()) +
                              " tensors for every task, received " +
                              std::to_string(tasks[k].size()) + " for task " + std::to_string(k));
      }
      for (size_t v = 0; v < tasks[k].size(); ++v) is_present_[v] = is_present_[v] || tasks[k][v];
    }
    const int64_t num_tensors = std::count(is_present_.begin(), is_present_.end(), true);
    std::vector<int64_t> numbers = {num_tasks_, num_tensors};
    for (int64_t k = 0; k < num_tasks_; ++k) {
      int64_t slot = k * num_tensors;
      for (size_t v = 0; v < is_present_.size(); ++v) {
        if (!is_present_[v]) continue;
        if (tasks[k][v]) {
          numbers.push_back(slot);
          Add(*tasks[k][v]);
        }
        ++slot;
      }
    }
    AddNumbers(numbers);
  }

  // An array for every tensor that a task has.
  void AddPerTensor(const std::vector<std::optional<Any>>& arrays, const char* name) {
    if (arrays.size() != is_present_.size()) {
      throw py::value_error(std::string(name) + ": expected " + std::to_string(is_present_.size()) +
                            " arrays, received " + std::to_string(arrays.size()));
    }
    for (size_t v = 0; v < arrays.size(); ++v) {
      if (!is_present_[v]) continue;
      arrays[v] ? Add(*arrays[v]) : Add(Input{{DType::float32, {0}}, nullptr});
    }
  }

  std::vector<Array> Results() {
    std::unique_ptr<const PreparedCall> call;
    Require(op_->prepare(spec_, &call));
    std::vector<Array> results;
    for (const ArraySpec& spec : call->results()) {
      results.push_back(memory_.Make(spec));
      buffers_.results.push_back(memory_.Data(results.back()));
    }
    memory_.Run(*call, buffers_);
    return results;
  }

  // The first results as one for every tensor, None for those that no task has.
  std::vector<std::optional<Array>> PerTensor(const std::vector<Array>& results) const {
    std::vector<std::optional<Array>> all;
    size_t next = 0;
    for (const bool is_present : is_present_) {
      all.push_back(is_present ? std::optional<Array>(results[next++]) : std::nullopt);
    }
    return all;
  }

 private:
  const Op* op_;
  Memory memory_;
  CallSpec spec_;
  Buffers buffers_;
  int64_t num_tasks_ = 0;
  std::vector<bool> is_present_;  // the tensors that a task has
};

// "CrossStitchGrad" as "cross_stitch_grad".
inline std::string PythonName(const std::string& name) {
  std::string snake;
  for (const char letter : name) {
    if (std::isupper(letter) && !snake.empty()) snake += '_';
    snake += static_cast<char>(std::tolower(letter));
  }
  return snake;
}

// Binds all ops of the table. `where`: name of the last argument, `num_threads` or `stream`.
template <typename Memory>
void BindOps(py::module_& module, const char* where, int64_t usual) {
  using Any = typename Memory::Any;
  using Array = typename Memory::Array;
  using Optional = std::optional<Any>;
  using Tasks = std::vector<std::vector<Optional>>;
  using Doubles = typename Memory::template Typed<double>;
  using Floats = typename Memory::template Typed<float>;
  using Ints = typename Memory::template Typed<int32_t>;

  module.def(
      "gramian",
      [](const Tasks& task_gradients, int64_t where) {
        OpCall<Memory> call("Gramian", where);
        call.AddTaskGradients(task_gradients);
        return call.Results()[0];
      },
      py::arg("task_gradients"), py::arg(where) = usual,
      "Inner products [K, K] float64 of K lists of V arrays (float32, bfloat16 or float16); None"
      " stands for zero.");
  module.def(
      "weighted_sum",
      [](const Tasks& task_gradients, const Doubles& weights, int64_t where) {
        OpCall<Memory> call("WeightedSum", where);
        call.AddTaskGradients(task_gradients);
        call.Add(Any(weights));
        return call.PerTensor(call.Results());
      },
      py::arg("task_gradients"), py::arg("weights"), py::arg(where) = usual,
      "Sum of K lists of V arrays with weights [K] float64: a list of V arrays.");
  module.def(
      "gradient_projection",
      [](const Tasks& task_gradients, const Ints& order, int64_t where) {
        OpCall<Memory> call("GradientProjection", where);
        call.AddTaskGradients(task_gradients);
        call.Add(Any(order));
        std::vector<Array> results = call.Results();
        return std::make_pair(call.PerTensor(results), results.back());
      },
      py::arg("task_gradients"), py::arg("order"), py::arg(where) = usual,
      "PCGrad: (list of V arrays, weights [K]) for the order [K, K-1] int32 of projections.");
  module.def(
      "grad_drop",
      [](const Tasks& task_gradients, const std::vector<std::optional<Floats>>& uniform,
         const Floats& leak, int64_t where) {
        OpCall<Memory> call("GradDrop", where);
        call.AddTaskGradients(task_gradients);
        call.AddPerTensor(std::vector<Optional>(uniform.begin(), uniform.end()), "uniform");
        call.Add(Any(leak));
        return call.PerTensor(call.Results());
      },
      py::arg("task_gradients"), py::arg("uniform"), py::arg("leak"), py::arg(where) = usual,
      "GradDrop with the random numbers `uniform` (V arrays float32) and the leak [K] float32.");
  module.def(
      "balance",
      [](const Doubles& gramian, const std::string& method, double parameter,
         const std::string& scale, const std::optional<Doubles>& preference,
         const std::optional<Ints>& order, const std::optional<Doubles>& targets, int64_t where) {
        BalanceMethod parsed_method;
        AlignedScale parsed_scale;
        Require(ParseBalanceMethod(method, &parsed_method));
        Require(ParseAlignedScale(scale, &parsed_scale));
        Require(CheckBalanceParameter(parsed_method, parameter));
        OpCall<Memory> call("Balance", where);
        call.AddNumbers({static_cast<int64_t>(parsed_method), static_cast<int64_t>(parsed_scale)});
        call.Add(Any(gramian));
        call.AddOptional(preference, "preference", DType::float64);
        call.AddOptional(order, "order", DType::int32);
        call.AddOptional(targets, "targets", DType::float64);
        call.Add(call.memory().Scalar(parameter));
        const std::vector<Array> results = call.Results();
        return py::make_tuple(results[0], Memory::template ToScalar<int32_t>(results[1]),
                              Memory::template ToScalar<double>(results[2]), results[3]);
      },
      py::arg("gramian"), py::arg("method"), py::arg("parameter") = 1.0, py::arg("scale") = "min",
      py::arg("preference") = py::none(), py::arg("order") = py::none(),
      py::arg("targets") = py::none(), py::arg(where) = usual,
      "(weights [K], status, residual, new targets [K, K]) of a Gramian [K, K] float64.");
  for (const Op& op : Ops()) {
    const std::string name = PythonName(op.name);
    if (py::hasattr(module, name.c_str())) continue;
    module.def(
        name.c_str(),
        [&op](const std::vector<Any>& arrays, const std::vector<int64_t>& numbers, int64_t where) {
          OpCall<Memory> call(op.name, where);
          call.AddNumbers(numbers);
          for (const Any& array : arrays) call.Add(array);
          return call.Results();
        },
        py::arg("arrays"), py::arg("numbers") = std::vector<int64_t>{}, py::arg(where) = usual,
        "A list of arrays from a list of arrays; see ops/kernels/*_op.cc.");
  }
}

}  // namespace mtl
