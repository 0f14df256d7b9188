// Bindings of the CUDA kernels: device arrays of any library in, device arrays out.
//
// An array enters by `__cuda_array_interface__` (CuPy, Numba, PyTorch) or DLPack (JAX, and bfloat16
// of PyTorch); results are DeviceArrays, which offer both. Calls run on the stream the caller
// names.
#include <cuda_runtime_api.h>

#include <memory>

#include "bindings/arrays.h"
#include "bindings/dlpack.h"
#include "kernels/balance_names.h"
#include "kernels/grad_drop.h"
#include "kernels/gradient_projection.h"
#include "kernels/gramian.h"
#include "kernels/weighted_sum.h"

namespace mtl {
namespace {

using Shape = std::vector<int64_t>;

void Check(CudaStatus status) {
  if (status != 0) throw std::runtime_error(std::string("CUDA: ") + CudaErrorText(status));
}

int64_t NumElements(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

// An array of another library, seen in place. `owner` keeps the memory alive.
struct DeviceView {
  void* data = nullptr;
  Shape shape;
  std::string dtype;
  int64_t item_bytes = 0;
  py::object owner;
};

bool IsContiguous(const Shape& shape, const int64_t* strides, int64_t unit) {
  if (strides == nullptr) return true;
  int64_t expected = unit;
  for (int d = static_cast<int>(shape.size()) - 1; d >= 0; --d) {
    if (shape[d] != 1 && strides[d] != expected) return NumElements(shape) == 0;
    expected *= shape[d];
  }
  return true;
}

DeviceView FromInterface(const py::object& array) {
  const py::dict interface = array.attr("__cuda_array_interface__");
  DeviceView view;
  view.owner = array;
  view.shape = interface["shape"].cast<Shape>();
  view.data = reinterpret_cast<void*>(interface["data"].cast<py::tuple>()[0].cast<uintptr_t>());
  const py::dtype dtype(interface["typestr"].cast<std::string>());
  view.dtype = py::str(dtype);
  view.item_bytes = dtype.itemsize();
  if (interface.contains("strides") && !interface["strides"].is_none()) {
    const Shape strides = interface["strides"].cast<Shape>();
    if (!IsContiguous(view.shape, strides.data(), view.item_bytes)) {
      throw py::value_error("expected C-contiguous device arrays");
    }
  }
  return view;
}

DeviceView FromDLPack(const py::object& array) {
  const py::capsule capsule = array.attr("__dlpack__")();
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (managed == nullptr) throw py::error_already_set();
  const DLTensor& tensor = managed->dl_tensor;
  if (tensor.device.device_type != kDLCUDA) {
    throw py::value_error("expected arrays on a CUDA device");
  }
  DeviceView view;
  view.owner = capsule;
  view.shape.assign(tensor.shape, tensor.shape + tensor.ndim);
  view.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  view.item_bytes = tensor.dtype.bits / 8;
  const std::string bits = std::to_string(tensor.dtype.bits);
  view.dtype = (tensor.dtype.code == kDLFloat    ? "float"
                : tensor.dtype.code == kDLBfloat ? "bfloat"
                : tensor.dtype.code == kDLInt    ? "int"
                                                 : "code") +
               bits;
  if (!IsContiguous(view.shape, tensor.strides, 1)) {
    throw py::value_error("expected C-contiguous device arrays");
  }
  return view;
}

DeviceView ViewOf(const py::object& array) {
  if (py::hasattr(array, "__dlpack__")) return FromDLPack(array);
  if (py::hasattr(array, "__cuda_array_interface__")) return FromInterface(array);
  throw py::value_error(
      "expected device arrays with __dlpack__ or __cuda_array_interface__, received " +
      std::string(py::str(py::type::of(array))));
}

void RequireLike(const DeviceView& view, const char* name, const Shape& shape,
                 const std::string& dtype) {
  if (view.shape == shape && view.dtype == dtype) return;
  throw py::value_error(std::string(name) + ": expected " + dtype + " of shape " +
                        std::string(py::str(py::cast(shape))) + ", received " + view.dtype +
                        " of shape " + std::string(py::str(py::cast(view.shape))));
}

// Device memory that Python holds.
class DeviceArray {
 public:
  // Memory of the device's pool, ordered on `stream`: neither taking nor giving back waits.
  DeviceArray(Shape shape, std::string dtype, int64_t item_bytes, cudaStream_t stream)
      : shape_(std::move(shape)), dtype_(std::move(dtype)), item_bytes_(item_bytes) {
    Check(cudaGetDevice(&device_));
    KeepPoolMemory(device_);
    void* data = nullptr;
    const size_t bytes = std::max<int64_t>(NumElements(shape_) * item_bytes_, 1);
    Check(cudaMallocAsync(&data, bytes, stream));
    memory_ =
        std::shared_ptr<void>(data, [stream](void* address) { cudaFreeAsync(address, stream); });
  }

  void* data() const { return memory_.get(); }
  double* doubles() const { return static_cast<double*>(data()); }

  py::dict Interface() const {
    if (dtype_ == "bfloat16") {
      throw py::attribute_error("bfloat16 has no __cuda_array_interface__; use DLPack");
    }
    py::dict interface;
    interface["shape"] = py::tuple(py::cast(shape_));
    interface["typestr"] =
        "<" + std::string(dtype_[0] == 'i' ? "i" : "f") + std::to_string(item_bytes_);
    interface["data"] = py::make_tuple(reinterpret_cast<uintptr_t>(data()), false);
    interface["version"] = 3;
    return interface;
  }

  py::tuple Device() const { return py::make_tuple(static_cast<int>(kDLCUDA), device_); }

  py::capsule DLPack() const {
    struct Holder {
      DLManagedTensor managed;
      Shape shape;
      std::shared_ptr<void> memory;
    };
    auto* holder = new Holder{{}, shape_, memory_};
    const DLDataType type{static_cast<uint8_t>(dtype_ == "bfloat16" ? kDLBfloat
                                               : dtype_[0] == 'i'   ? kDLInt
                                                                    : kDLFloat),
                          static_cast<uint8_t>(item_bytes_ * 8), 1};
    holder->managed.dl_tensor = {data(), {kDLCUDA, device_},   static_cast<int32_t>(shape_.size()),
                                 type,   holder->shape.data(), nullptr,
                                 0};
    holder->managed.manager_ctx = holder;
    holder->managed.deleter = [](DLManagedTensor* self) {
      delete static_cast<Holder*>(self->manager_ctx);
    };
    return py::capsule(&holder->managed, "dltensor", [](PyObject* capsule) {
      // A consumer renames the capsule and calls the deleter itself.
      if (!PyCapsule_IsValid(capsule, "dltensor")) return;
      auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
      managed->deleter(managed);
    });
  }

  // A copy of float64, float32, float16 or int32 in host memory, after all work on the device.
  py::array ToHost() const {
    if (dtype_ == "bfloat16") throw py::value_error("bfloat16 is not a NumPy type; use DLPack");
    py::array host(py::dtype(dtype_), shape_);
    Check(cudaDeviceSynchronize());
    Check(cudaMemcpy(host.mutable_data(), data(), NumElements(shape_) * item_bytes_,
                     cudaMemcpyDeviceToHost));
    return host;
  }

 private:
  static void KeepPoolMemory(int device) {
    static bool is_set = false;
    if (is_set) return;
    cudaMemPool_t pool;
    uint64_t everything = UINT64_MAX;
    Check(cudaDeviceGetDefaultMemPool(&pool, device));
    Check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &everything));
    is_set = true;
  }

  Shape shape_;
  std::string dtype_;
  int64_t item_bytes_;
  int device_ = 0;
  std::shared_ptr<void> memory_;
};

cudaStream_t ToStream(uintptr_t stream) { return reinterpret_cast<cudaStream_t>(stream); }

DeviceArray Float64(Shape shape, uintptr_t stream) {
  return DeviceArray(std::move(shape), "float64", 8, ToStream(stream));
}

using Objects = std::vector<py::object>;
using Results = std::vector<std::optional<DeviceArray>>;

// K lists of V device arrays as the kernels receive them.
class DeviceGradients {
 public:
  explicit DeviceGradients(const std::vector<Objects>& tasks) {
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
        views.back() = ViewOf(array);
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
      Require(table_->Set(slot, views[slot]->data, NumElements(views[slot]->shape)));
      shapes_[slot % num_tensors] = views[slot]->shape;
      owners_.push_back(views[slot]->owner);
    }
    num_tasks_ = static_cast<int>(tasks.size());
  }

  TaskGradients View() { return table_->View(); }
  int num_tasks() const { return num_tasks_; }

  Results NewResults(uintptr_t stream) const {
    Results results;
    for (const auto& shape : shapes_) {
      results.emplace_back();
      if (shape) results.back().emplace(*shape, dtype_, item_bytes_, ToStream(stream));
    }
    return results;
  }

 private:
  int num_tasks_;
  std::string dtype_;
  int64_t item_bytes_ = 4;
  std::optional<TaskGradientTable> table_;
  std::vector<std::optional<Shape>> shapes_;
  Objects owners_;
};

std::vector<void*> Pointers(const Results& results) {
  std::vector<void*> pointers;
  for (const auto& result : results) pointers.push_back(result ? result->data() : nullptr);
  return pointers;
}

DeviceArray GramianOfDevice(const std::vector<Objects>& task_gradients, uintptr_t stream) {
  DeviceGradients gradients(task_gradients);
  const TaskGradients view = gradients.View();
  DeviceArray gramian = Float64({view.num_tasks, view.num_tasks}, stream);
  const DeviceArray workspace = Float64({GramianWorkspaceSize(view)}, stream);
  Check(GramianCuda({view, gramian.doubles()}, workspace.doubles(), ToStream(stream)));
  return gramian;
}

Results WeightedSumOfDevice(const std::vector<Objects>& task_gradients, const py::object& weights,
                            uintptr_t stream) {
  DeviceGradients gradients(task_gradients);
  const DeviceView weight_view = ViewOf(weights);
  RequireLike(weight_view, "weights", {gradients.num_tasks()}, "float64");
  Results sums = gradients.NewResults(stream);
  const std::vector<void*> pointers = Pointers(sums);
  Check(WeightedSumCuda(
      {gradients.View(), static_cast<const double*>(weight_view.data), pointers.data()},
      ToStream(stream)));
  return sums;
}

std::pair<Results, DeviceArray> GradientProjectionOfDevice(
    const std::vector<Objects>& task_gradients, const py::object& order, uintptr_t stream) {
  DeviceGradients gradients(task_gradients);
  const int num_tasks = gradients.num_tasks();
  const DeviceView order_view = ViewOf(order);
  RequireLike(order_view, "order", {num_tasks, num_tasks - 1}, "int32");
  const TaskGradients view = gradients.View();
  Results directions = gradients.NewResults(stream);
  const std::vector<void*> pointers = Pointers(directions);
  DeviceArray weights = Float64({num_tasks}, stream);
  const DeviceArray workspace = Float64({GradientProjectionWorkspaceSize(view)}, stream);
  Check(GradientProjectionCuda(
      {view, static_cast<const int32_t*>(order_view.data), pointers.data(), weights.doubles()},
      workspace.doubles(), ToStream(stream)));
  return {std::move(directions), weights};
}

Results GradDropOfDevice(const std::vector<Objects>& task_gradients, const Objects& uniform,
                         const py::object& leak, uintptr_t stream) {
  DeviceGradients gradients(task_gradients);
  const TaskGradients view = gradients.View();
  if (static_cast<int>(uniform.size()) != view.num_tensors) {
    throw py::value_error("uniform: expected " + std::to_string(view.num_tensors) + " arrays");
  }
  std::vector<DeviceView> uniform_views;
  std::vector<const float*> uniform_pointers(view.num_tensors, nullptr);
  for (int v = 0; v < view.num_tensors; ++v) {
    if (view.sizes[v] == 0) continue;
    uniform_views.push_back(ViewOf(uniform[v]));
    if (uniform_views.back().dtype != "float32" ||
        NumElements(uniform_views.back().shape) != view.sizes[v]) {
      throw py::value_error(
          "uniform: expected float32 arrays with as many elements as the gradients");
    }
    uniform_pointers[v] = static_cast<const float*>(uniform_views.back().data);
  }
  const DeviceView leak_view = ViewOf(leak);
  RequireLike(leak_view, "leak", {view.num_tasks}, "float32");
  Results directions = gradients.NewResults(stream);
  const std::vector<void*> pointers = Pointers(directions);
  Check(GradDropCuda(
      {view, uniform_pointers.data(), static_cast<const float*>(leak_view.data), pointers.data()},
      ToStream(stream)));
  return directions;
}

py::tuple BalanceOfDevice(const py::object& gramian, const std::string& method, double parameter,
                          const std::string& scale, uintptr_t stream) {
  const DeviceView view = ViewOf(gramian);
  if (view.shape.size() != 2) throw py::value_error("gramian: expected shape [K, K]");
  RequireLike(view, "gramian", {view.shape[0], view.shape[0]}, "float64");
  Require(CheckNumTasks(view.shape[0]));
  const int num_tasks = static_cast<int>(view.shape[0]);
  BalanceArgs args{};
  Require(ParseBalanceMethod(method, &args.method));
  Require(ParseAlignedScale(scale, &args.scale));
  Require(CheckBalanceParameter(args.method, parameter));
  DeviceArray weights = Float64({num_tasks}, stream), residual = Float64({1}, stream);
  DeviceArray status({1}, "int32", 4, ToStream(stream));
  const DeviceArray parameters = Float64({1}, stream);
  const DeviceArray workspace = Float64({BalanceWorkspaceSize(num_tasks)}, stream);
  Check(cudaMemcpyAsync(parameters.data(), &parameter, sizeof(parameter), cudaMemcpyHostToDevice,
                        ToStream(stream)));
  args.num_tasks = num_tasks;
  args.gramian = static_cast<const double*>(view.data);
  args.parameter = parameters.doubles();
  args.weights = weights.doubles();
  args.residual = residual.doubles();
  args.status = static_cast<int32_t*>(status.data());
  Check(BalanceCuda(args, workspace.doubles(), ToStream(stream)));
  return py::make_tuple(weights, status, residual);
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
      .def("__dlpack__", [](const DeviceArray& self, const py::args&,
                            const py::kwargs&) { return self.DLPack(); })
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
           py::arg("parameter") = 1.0, py::arg("scale") = "min", py::arg("stream") = 0,
           "(weights [K], status [1], residual [1]) of a Gramian [K, K] float64 on the device.");
}

}  // namespace mtl
