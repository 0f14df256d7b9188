// Bindings of the CUDA kernels: device arrays of any library in, device arrays out, on the stream
// the caller names.
#include "bindings/device_arrays.h"
#include "bindings/features.h"
#include "kernels/balance_names.h"
#include "kernels/gradients/grad_drop.h"
#include "kernels/gradients/gradient_projection.h"
#include "kernels/gradients/gramian.h"
#include "kernels/gradients/weighted_sum.h"

namespace mtl {
namespace {

using Objects = std::vector<py::object>;
using Results = std::vector<std::optional<DeviceArray>>;

// K lists of V device arrays as the kernels receive them.
class DeviceGradients {
 public:
  DeviceGradients(const std::vector<Objects>& tasks, const DeviceCall& call) {
    Require(CheckNumTasks(tasks.size()));
    const size_t num_tensors = tasks[0].size();
    std::vector<std::optional<DeviceView>> views;
    for (size_t k = 0; k < tasks.size(); ++k) {
      if (tasks[k].size() != num_tensors) {
        throw py::value_error("task_gradients: expected " + std::to_string(num_tensors) +
                              " tensors for every task, received " +
                              std::to_string(tasks[k].size()) + " for task " + std::to_string(k));
      }
      for (const py::object& array : tasks[k]) {
        views.emplace_back();
        if (array.is_none()) continue;
        views.back() = call.View(array);
        if (dtype_.empty()) {
          dtype_ = views.back()->dtype;
          item_bytes_ = views.back()->item_bytes;
        }
        if (views.back()->dtype != dtype_) {
          throw py::value_error("task_gradients: expected one dtype for all gradients");
        }
      }
    }
    const ElementType type = dtype_.empty() ? ElementType::float32 : ElementTypeNamed(dtype_);
    table_.emplace(static_cast<int>(tasks.size()), static_cast<int>(num_tensors), type);
    shapes_.resize(num_tensors);
    for (size_t slot = 0; slot < views.size(); ++slot) {
      if (!views[slot]) continue;
      std::optional<Shape>& shape = shapes_[slot % num_tensors];
      if (shape && *shape != views[slot]->shape) {
        throw py::value_error("task_gradients: expected one shape for tensor " +
                              std::to_string(slot % num_tensors) + " of all tasks");
      }
      shape = views[slot]->shape;
      Require(table_->Set(slot, views[slot]->data, NumElements(*shape)));
    }
    num_tasks_ = static_cast<int>(tasks.size());
  }

  TaskGradients View() { return table_->View(); }
  int num_tasks() const { return num_tasks_; }

  Results NewResults(const DeviceCall& call) const {
    Results results;
    for (const auto& shape : shapes_) {
      results.emplace_back();
      if (shape) results.back() = call.Make(*shape, dtype_, item_bytes_);
    }
    return results;
  }

 private:
  int num_tasks_;
  std::string dtype_;
  int64_t item_bytes_ = 4;
  std::optional<TaskGradientTable> table_;
  std::vector<std::optional<Shape>> shapes_;
};

std::vector<void*> Pointers(const Results& results) {
  std::vector<void*> pointers;
  for (const auto& result : results) pointers.push_back(result ? result->data() : nullptr);
  return pointers;
}

DeviceArray GramianOfDevice(const std::vector<Objects>& task_gradients, uintptr_t stream) {
  const DeviceCall call(stream);
  DeviceGradients gradients(task_gradients, call);
  const TaskGradients view = gradients.View();
  DeviceArray gramian = call.Float64({view.num_tasks, view.num_tasks});
  const DeviceArray workspace = call.Float64({GramianWorkspaceSize(view)});
  Check(GramianCuda({view, gramian.doubles()}, workspace.doubles(), call.stream()));
  return gramian;
}

Results WeightedSumOfDevice(const std::vector<Objects>& task_gradients, const py::object& weights,
                            uintptr_t stream) {
  const DeviceCall call(stream);
  DeviceGradients gradients(task_gradients, call);
  const DeviceView weight_view = call.View(weights);
  RequireLike(weight_view, "weights", {gradients.num_tasks()}, "float64");
  Results sums = gradients.NewResults(call);
  const std::vector<void*> pointers = Pointers(sums);
  Check(WeightedSumCuda(
      {gradients.View(), static_cast<const double*>(weight_view.data), pointers.data()},
      call.stream()));
  return sums;
}

std::pair<Results, DeviceArray> GradientProjectionOfDevice(
    const std::vector<Objects>& task_gradients, const py::object& order, uintptr_t stream) {
  const DeviceCall call(stream);
  DeviceGradients gradients(task_gradients, call);
  const int num_tasks = gradients.num_tasks();
  const DeviceView order_view = call.View(order);
  RequireLike(order_view, "order", {num_tasks, num_tasks - 1}, "int32");
  const TaskGradients view = gradients.View();
  Results directions = gradients.NewResults(call);
  const std::vector<void*> pointers = Pointers(directions);
  DeviceArray weights = call.Float64({num_tasks});
  const DeviceArray workspace = call.Float64({GradientProjectionWorkspaceSize(view)});
  Check(GradientProjectionCuda(
      {view, static_cast<const int32_t*>(order_view.data), pointers.data(), weights.doubles()},
      workspace.doubles(), call.stream()));
  return {std::move(directions), weights};
}

Results GradDropOfDevice(const std::vector<Objects>& task_gradients, const Objects& uniform,
                         const py::object& leak, uintptr_t stream) {
  const DeviceCall call(stream);
  DeviceGradients gradients(task_gradients, call);
  const TaskGradients view = gradients.View();
  if (static_cast<int>(uniform.size()) != view.num_tensors) {
    throw py::value_error("uniform: expected " + std::to_string(view.num_tensors) + " arrays");
  }
  std::vector<DeviceView> uniform_views;
  std::vector<const float*> uniform_pointers(view.num_tensors, nullptr);
  for (int v = 0; v < view.num_tensors; ++v) {
    if (view.sizes[v] == 0) continue;
    uniform_views.push_back(call.View(uniform[v]));
    if (uniform_views.back().dtype != "float32" ||
        NumElements(uniform_views.back().shape) != view.sizes[v]) {
      throw py::value_error(
          "uniform: expected float32 arrays with as many elements as the gradients");
    }
    uniform_pointers[v] = static_cast<const float*>(uniform_views.back().data);
  }
  const DeviceView leak_view = call.View(leak);
  RequireLike(leak_view, "leak", {view.num_tasks}, "float32");
  Results directions = gradients.NewResults(call);
  const std::vector<void*> pointers = Pointers(directions);
  Check(GradDropCuda(
      {view, uniform_pointers.data(), static_cast<const float*>(leak_view.data), pointers.data()},
      call.stream()));
  return directions;
}

py::tuple BalanceOfDevice(const py::object& gramian, const std::string& method, double parameter,
                          const std::string& scale, const py::object& preference,
                          const py::object& order, const py::object& targets, uintptr_t stream) {
  const DeviceCall call(stream);
  const DeviceView view = call.View(gramian);
  if (view.shape.size() != 2) throw py::value_error("gramian: expected shape [K, K]");
  const int64_t num_tasks = view.shape[0];
  RequireLike(view, "gramian", {num_tasks, num_tasks}, "float64");
  Require(CheckNumTasks(num_tasks));
  BalanceArgs args{};
  Require(ParseBalanceMethod(method, &args.method));
  Require(ParseAlignedScale(scale, &args.scale));
  Require(CheckBalanceParameter(args.method, parameter));
  const auto optional = [&](const py::object& array, const char* name, const Shape& shape,
                            const char* dtype) -> const void* {
    if (array.is_none()) return nullptr;
    const DeviceView found = call.View(array);
    RequireLike(found, name, shape, dtype);
    return found.data;
  };
  DeviceArray weights = call.Float64({num_tasks}), residual = call.Float64({1});
  DeviceArray new_targets = call.Float64({num_tasks, num_tasks});
  DeviceArray status = call.Make({1}, "int32", 4);
  const DeviceArray parameters = call.Float64({1});
  const DeviceArray workspace = call.Float64({BalanceWorkspaceSize(num_tasks)});
  Check(SetParameterCuda(parameter, parameters.doubles(), call.stream()));
  args.num_tasks = static_cast<int>(num_tasks);
  args.gramian = static_cast<const double*>(view.data);
  args.parameter = parameters.doubles();
  args.preference =
      static_cast<const double*>(optional(preference, "preference", {num_tasks}, "float64"));
  args.order =
      static_cast<const int32_t*>(optional(order, "order", {num_tasks, num_tasks - 1}, "int32"));
  args.targets =
      static_cast<const double*>(optional(targets, "targets", {num_tasks, num_tasks}, "float64"));
  args.weights = weights.doubles();
  args.new_targets = new_targets.doubles();
  args.residual = residual.doubles();
  args.status = static_cast<int32_t*>(status.data());
  Check(BalanceCuda(args, workspace.doubles(), call.stream()));
  return py::make_tuple(weights, status, residual, new_targets);
}

std::vector<DeviceArray> FeatureOpOfDevice(const FeatureOp& op, const Objects& arrays,
                                           const std::vector<int64_t>& numbers, uintptr_t stream) {
  const DeviceCall on_device(stream);
  ArrayCall call;
  call.numbers = numbers;
  for (const py::object& array : arrays) {
    const DeviceView view = on_device.View(array);
    call.specs.push_back({ArrayTypeNamed(view.dtype), view.shape});
    call.inputs.push_back(view.data);
  }
  std::vector<ArraySpec> specs;
  Require(op.check(call, &specs));
  std::vector<DeviceArray> results;
  for (const ArraySpec& spec : specs) {
    const bool is_wide = spec.type == ArrayType::float32 || spec.type == ArrayType::int32;
    results.push_back(on_device.Make(spec.dims, ArrayTypeName(spec.type), is_wide ? 4 : 2));
    call.results.push_back(results.back().data());
  }
  const int64_t doubles = op.workspace_size == nullptr ? 0 : op.workspace_size(call);
  const DeviceArray workspace = on_device.Float64({doubles});
  Check(op.run_cuda(call, workspace.doubles(), on_device.stream()));
  return results;
}

int NumDevices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

}  // namespace

void BindCuda(py::module_& module) {
  py::module_ cuda = module.def_submodule("cuda", "The CUDA kernels on device arrays.");
  py::class_<DeviceArray>(cuda, "DeviceArray", "An array in device memory.")
      .def_property_readonly("__cuda_array_interface__", &DeviceArray::Interface)
      .def("__dlpack_device__", &DeviceArray::Device)
      .def("__dlpack__", &DeviceArray::DLPack, py::arg("stream") = py::none(), py::kw_only(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
           py::arg("copy") = py::none())
      .def("to_host", &DeviceArray::ToHost, "A copy as a NumPy array.");
  cuda.def("num_devices", &NumDevices, "Number of CUDA devices; 0 without a driver.");
  cuda.def("gramian", &GramianOfDevice, py::arg("task_gradients"), py::arg("stream") = 0,
           "Inner products [K, K] float64 of K lists of V device arrays.");
  cuda.def("weighted_sum", &WeightedSumOfDevice, py::arg("task_gradients"), py::arg("weights"),
           py::arg("stream") = 0, "Weighted sum; weights [K] float64 on the device.");
  cuda.def("gradient_projection", &GradientProjectionOfDevice, py::arg("task_gradients"),
           py::arg("order"), py::arg("stream") = 0, "PCGrad; order [K, K-1] int32 on the device.");
  cuda.def("grad_drop", &GradDropOfDevice, py::arg("task_gradients"), py::arg("uniform"),
           py::arg("leak"), py::arg("stream") = 0, "GradDrop; leak [K] float32 on the device.");
  cuda.def("balance", &BalanceOfDevice, py::arg("gramian"), py::arg("method"),
           py::arg("parameter") = 1.0, py::arg("scale") = "min", py::arg("preference") = py::none(),
           py::arg("order") = py::none(), py::arg("targets") = py::none(), py::arg("stream") = 0,
           "(weights [K], status [1], residual [1], new targets [K, K]) of a Gramian [K, K] float64"
           " on the device.");
  for (const FeatureOp& op : FeatureOps()) {
    cuda.def(
        PythonName(op.name).c_str(),
        [&op](const Objects& arrays, const std::vector<int64_t>& numbers, uintptr_t stream) {
          return FeatureOpOfDevice(op, arrays, numbers, stream);
        },
        py::arg("arrays"), py::arg("numbers") = std::vector<int64_t>{}, py::arg("stream") = 0,
        "A list of device arrays from a list of device arrays.");
  }
}

}  // namespace mtl
