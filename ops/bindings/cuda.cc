// Bindings of the CUDA kernels: device arrays of any library in, device arrays out, on the stream
// the caller names.
#include "bindings/arrays.h"
#include "bindings/device_arrays.h"
#include "kernels/solvers/balance.h"

namespace mtl {
namespace {

class DeviceMemory {
 public:
  using Any = py::object;
  template <typename T>
  using Typed = py::object;
  using Array = DeviceArray;

  explicit DeviceMemory(int64_t stream) : call_(static_cast<uintptr_t>(stream)) {
    if (stream < 0) throw py::value_error("stream: expected the address of a CUDA stream or 0");
  }

  Input View(const py::object& array) const {
    const DeviceView view = call_.View(array);
    const DType dtype = DTypeNamed(view.dtype);
    RequireKnown(dtype, view.dtype);
    return {{dtype, view.shape}, view.data};
  }

  Input Scalar(double value) {
    scalars_.push_back(Make({DType::float64, {}}));
    double* const scalar = scalars_.back().doubles();
    Check(SetParameterCuda(value, scalar, call_.stream()));
    return {{DType::float64, {}}, scalar};
  }

  DeviceArray Make(const ArraySpec& spec) const {
    return call_.Make(spec.dims, NameOf(spec.dtype), ItemBytes(spec.dtype));
  }

  static void* Data(const DeviceArray& array) { return array.data(); }

  // Stays on the device.
  template <typename T>
  static DeviceArray ToScalar(const DeviceArray& array) {
    return array.Reshaped({1});
  }

  void Run(const PreparedCall& call, const Buffers& buffers) const {
    const DeviceArray workspace = Make({DType::float64, {call.WorkspaceSize(buffers)}});
    Check(call.RunCuda(buffers, workspace.doubles(), call_.stream()));
  }

 private:
  DeviceCall call_;
  std::vector<DeviceArray> scalars_;
};

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
  BindOps<DeviceMemory>(cuda, "stream", 0);
}

}  // namespace mtl
