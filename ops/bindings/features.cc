// Bindings of the ops on feature maps: NumPy arrays in and out, GIL released.
#include "bindings/features.h"

#include "bindings/arrays.h"
#include "kernels/features/feature_kernels.h"

namespace mtl {
namespace {

std::vector<py::array> Run(const FeatureOp& op, const std::vector<py::array>& arrays,
                           const std::vector<int64_t>& numbers, int num_threads) {
  const ParallelFor threads = Threads(num_threads);
  ArrayCall call;
  call.numbers = numbers;
  for (const py::array& array : arrays) {
    RequireContiguous(array, "arrays");
    call.specs.push_back({ArrayTypeNamed(py::str(array.dtype())),
                          Dims(array.shape(), array.shape() + array.ndim())});
    call.inputs.push_back(array.data());
  }
  std::vector<ArraySpec> specs;
  Require(op.check(call, &specs));
  std::vector<py::array> results;
  for (const ArraySpec& spec : specs) {
    // NumPy knows bfloat16 by the arrays it is given alone.
    const py::dtype dtype =
        spec.type == ArrayType::bfloat16 ? arrays[0].dtype() : py::dtype(ArrayTypeName(spec.type));
    results.emplace_back(dtype, spec.dims);
    call.results.push_back(results.back().mutable_data());
  }
  {
    py::gil_scoped_release released;
    op.run(call, threads);
  }
  return results;
}

using FloatArray = py::array_t<float, py::array::c_style>;

template <typename Function>
FloatArray Apply(const FloatArray& x, const Function& function) {
  FloatArray y(x.size());
  function(x.data(), x.size(), y.mutable_data());
  return y;
}

}  // namespace

void BindFeatures(py::module_& module) {
  for (const FeatureOp& op : FeatureOps()) {
    module.def(
        PythonName(op.name).c_str(),
        [&op](const std::vector<py::array>& arrays, const std::vector<int64_t>& numbers,
              int num_threads) { return Run(op, arrays, numbers, num_threads); },
        py::arg("arrays"), py::arg("numbers") = std::vector<int64_t>{}, py::arg("num_threads") = 1,
        "A list of arrays from a list of arrays; see ops/kernels/feature_ops.cc.");
  }
  module.def(
      "vector_exp", [](const FloatArray& x) { return Apply(x, MTL_SELECT_KERNEL(VectorExp)); },
      py::arg("x"), "exp of float32 [N], as the kernels compute it.");
  module.def(
      "vector_log", [](const FloatArray& x) { return Apply(x, MTL_SELECT_KERNEL(VectorLog)); },
      py::arg("x"), "Natural logarithm of float32 [N], as the kernels compute it.");
}

}  // namespace mtl
