// The text of CUDA's error codes.
#include <cuda_runtime_api.h>

#include "kernels/cuda/stream.h"

namespace mtl {

const char* CudaErrorText(CudaStatus status) {
  return cudaGetErrorString(static_cast<cudaError_t>(status));
}

}  // namespace mtl
