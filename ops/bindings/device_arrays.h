// Arrays in device memory: those of other libraries, seen in place, and those the bindings make.
//
// An array enters by DLPack or `__cuda_array_interface__`; a DeviceArray offers both.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "bindings/arrays.h"
#include "bindings/dlpack.h"
#include "kernels/stream.h"

namespace mtl {

using Shape = std::vector<int64_t>;

inline void Check(CudaStatus status) {
  if (status == 0) return;
  cudaGetLastError();  // told here, not again by the next launch
  throw std::runtime_error(std::string("CUDA: ") + CudaErrorText(status));
}

inline int64_t NumElements(const Shape& shape) {
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

inline bool IsContiguous(const Shape& shape, const int64_t* strides, int64_t unit) {
  if (strides == nullptr) return true;
  int64_t expected = unit;
  for (int d = static_cast<int>(shape.size()) - 1; d >= 0; --d) {
    if (shape[d] != 1 && strides[d] != expected) return NumElements(shape) == 0;
    expected *= shape[d];
  }
  return true;
}

inline DeviceView FromInterface(const py::object& array) {
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
  if (py::hasattr(array, "__cuda_array_interface__")) return FromInterface(array);
  throw py::value_error(
      "expected device arrays with __dlpack__ or __cuda_array_interface__, received " +
      std::string(py::str(py::type::of(array))));
}

inline void RequireLike(const DeviceView& view, const char* name, const Shape& shape,
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
      : shape_(std::move(shape)),
        dtype_(std::move(dtype)),
        item_bytes_(item_bytes),
        stream_(stream) {
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
    interface["stream"] = stream_ == nullptr ? uintptr_t{1} : reinterpret_cast<uintptr_t>(stream_);
    return interface;
  }

  py::tuple Device() const { return py::make_tuple(static_cast<int>(kDLCUDA), device_); }

  // Whoever receives the capsule may read at once, on any stream.
  py::capsule DLPack() const {
    Check(cudaStreamSynchronize(stream_));
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
  cudaStream_t stream_;
  int device_ = 0;
  std::shared_ptr<void> memory_;
};

inline cudaStream_t ToStream(uintptr_t stream) { return reinterpret_cast<cudaStream_t>(stream); }

inline DeviceArray Float64(Shape shape, uintptr_t stream) {
  return DeviceArray(std::move(shape), "float64", 8, ToStream(stream));
}

}  // namespace mtl
