// Arrays in device memory: those of other libraries, seen in place, and those the bindings make.
//
// An array enters by DLPack or `__cuda_array_interface__`; a DeviceArray offers both. Nothing waits
// for the device but a change of streams.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/dlpack.h"
#include "kernels/cuda/stream.h"

namespace mtl {

using Shape = Dims;

inline cudaStream_t ToStream(uintptr_t stream) { return reinterpret_cast<cudaStream_t>(stream); }

// Both 0 and 1 are the legacy default stream.
inline bool IsSameStream(uintptr_t a, uintptr_t b) {
  return std::max<uintptr_t>(a, 1) == std::max<uintptr_t>(b, 1);
}

inline void Check(CudaStatus status) {
  if (status == 0) return;
  cudaGetLastError();  // reported here, not again by the next launch
  throw std::runtime_error(std::string("CUDA: ") + CudaErrorText(status));
}

// An array of another library, seen in place. `owner` keeps the memory alive.
struct DeviceView {
  void* data = nullptr;
  Shape shape;
  std::string dtype;
  int64_t item_bytes = 0;
  py::object owner;
};

inline bool IsContiguous(const Shape& shape, const int64_t* strides, int64_t unit) {
  if (strides == nullptr) return true;
  int64_t expected = unit;
  for (int d = static_cast<int>(shape.size()) - 1; d >= 0; --d) {
    if (shape[d] != 1 && strides[d] != expected) return NumElements(shape) == 0;
    expected *= shape[d];
  }
  return true;
}

// The host waits for the producer's stream, if it is another.
inline DeviceView FromInterface(const py::object& array, uintptr_t stream) {
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
  if (interface.contains("stream") && !interface["stream"].is_none()) {
    const auto producer = interface["stream"].cast<uintptr_t>();
    if (!IsSameStream(producer, stream)) Check(cudaStreamSynchronize(ToStream(producer)));
  }
  return view;
}

// The producer makes `stream` wait for the array.
inline DeviceView FromDLPack(const py::object& array, uintptr_t stream) {
  const py::capsule capsule =
      array.attr("__dlpack__")(py::arg("stream") = stream == 0 ? 1 : stream);
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (managed == nullptr) throw py::error_already_set();
  const DLTensor& tensor = managed->dl_tensor;
  if (tensor.device.device_type != kDLCUDA) {
    throw py::value_error("expected arrays on a CUDA device");
  }
  int device = 0;
  Check(cudaGetDevice(&device));
  if (tensor.device.device_id != device || tensor.dtype.lanes != 1) {
    throw py::value_error("expected arrays of scalars on the current CUDA device, number " +
                          std::to_string(device) + ", received device " +
                          std::to_string(tensor.device.device_id));
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

inline DeviceView ViewOf(const py::object& array, uintptr_t stream) {
  if (py::hasattr(array, "__dlpack__")) return FromDLPack(array, stream);
  if (py::hasattr(array, "__cuda_array_interface__")) return FromInterface(array, stream);
  throw py::value_error(
      "expected device arrays with __dlpack__ or __cuda_array_interface__, received " +
      std::string(py::str(py::type::of(array))));
}

// What a call reads. Its results keep it until somebody has waited for one of them: an owner that
// does not know of the call's stream could give the memory to others meanwhile. What reads a result
// keeps its memory alone, so that a loop of calls does not keep all that went before.
using Sources = std::shared_ptr<std::vector<py::object>>;

// Device memory that Python holds.
class DeviceArray {
 public:
  // Memory of the device's pool, ordered on `stream`: neither taking nor giving back waits. A
  // reader on another stream keeps the array until it has read.
  DeviceArray(Shape shape, std::string dtype, int64_t item_bytes, uintptr_t stream, Sources sources)
      : shape_(std::move(shape)),
        dtype_(std::move(dtype)),
        item_bytes_(item_bytes),
        stream_(stream),
        sources_(std::move(sources)) {
    Check(cudaGetDevice(&device_));
    void* data = nullptr;
    const size_t bytes = std::max<int64_t>(NumElements(shape_) * item_bytes_, 1);
    Check(cudaMallocAsync(&data, bytes, ToStream(stream)));
    memory_ = std::shared_ptr<void>(
        data, [stream](void* address) { cudaFreeAsync(address, ToStream(stream)); });
  }

  // The same memory in another shape of as many elements.
  DeviceArray Reshaped(Shape shape) const {
    DeviceArray reshaped = *this;
    reshaped.shape_ = std::move(shape);
    return reshaped;
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
    interface["stream"] = std::max<uintptr_t>(stream_, 1);
    return interface;
  }

  py::tuple Device() const { return py::make_tuple(static_cast<int>(kDLCUDA), device_); }

  // What receives the capsule may read at once on `stream`, of which None stands for the legacy
  // default stream and -1 for none: the host waits only where that is another stream than the
  // call's.
  py::capsule DLPack(const std::optional<int64_t>& stream, const py::object& /*max_version*/,
                     const std::optional<std::pair<int, int>>& device,
                     const std::optional<bool>& copy) const {
    if (copy.value_or(false) || (device && *device != std::pair<int, int>(kDLCUDA, device_))) {
      throw py::buffer_error("a kernel's result is handed over where it is, without a copy");
    }
    const int64_t reader = stream.value_or(1);
    if (reader != -1 && !IsSameStream(reader, stream_)) {
      Check(cudaStreamSynchronize(ToStream(stream_)));
      sources_->clear();
    }
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
    sources_->clear();
    Check(cudaMemcpy(host.mutable_data(), data(), NumElements(shape_) * item_bytes_,
                     cudaMemcpyDeviceToHost));
    return host;
  }

 private:
  Shape shape_;
  std::string dtype_;
  int64_t item_bytes_;
  uintptr_t stream_;
  int device_ = 0;
  Sources sources_;
  std::shared_ptr<void> memory_;
};

// One call on a stream: what it reads, and what it makes.
class DeviceCall {
 public:
  explicit DeviceCall(uintptr_t stream)
      : stream_(stream), sources_(std::make_shared<std::vector<py::object>>()) {}

  cudaStream_t stream() const { return ToStream(stream_); }

  DeviceView View(const py::object& array) const {
    DeviceView view = ViewOf(array, stream_);
    sources_->push_back(view.owner);
    return view;
  }

  DeviceArray Make(Shape shape, std::string dtype, int64_t item_bytes) const {
    return DeviceArray(std::move(shape), std::move(dtype), item_bytes, stream_, sources_);
  }

 private:
  uintptr_t stream_;
  Sources sources_;
};

}  // namespace mtl
