// The Python module mtl_tf.ops._kernels: kernels on NumPy arrays, and what they were built with.
#include <pybind11/pybind11.h>

#include "kernels/cpu/cpu_dispatch.h"
#if defined(MTL_WITH_CUDA)
#include <cuda_runtime_api.h>  // CUDART_VERSION
#else
#define CUDART_VERSION 0
#endif

namespace mtl {
void BindNumPy(pybind11::module_& module);
void BindEdges(pybind11::module_& module);
#if defined(MTL_WITH_CUDA)
void BindCuda(pybind11::module_& module);
#endif
}  // namespace mtl

PYBIND11_MODULE(_kernels, module) {
  module.doc() = "Native kernels of mtl_tf on NumPy arrays, without TensorFlow.";
  module.attr("TENSORFLOW_VERSION") = MTL_TENSORFLOW_VERSION;
  module.attr("COMPILER") = MTL_COMPILER;
  module.attr("CUDA_ARCHITECTURES") =
      MTL_CUDA_ARCHITECTURES;                    // "75-real,80-real,90"; empty: no CUDA
  module.attr("CUDA_VERSION") = CUDART_VERSION;  // of the runtime inside: 12080 is 12.8; 0: none
  module.def(
      "cpu_isa", [] { return mtl::CpuIsaName(mtl::SelectedCpuIsa()); },
      "The instruction set chosen for this CPU: baseline, avx2 or avx512.");
  mtl::BindNumPy(module);
  mtl::BindEdges(module);
#if defined(MTL_WITH_CUDA)
  mtl::BindCuda(module);
#endif
}
