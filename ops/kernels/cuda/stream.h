// CUDA's stream and error code without CUDA's headers, so that adapters compile without them.
#pragma once

namespace mtl {

using CudaStream = void*;  // cudaStream_t

// Zero, or the cudaError_t of the call that failed; CudaErrorText names it.
using CudaStatus = int;

#if defined(MTL_WITH_CUDA)
const char* CudaErrorText(CudaStatus status);
#endif

}  // namespace mtl
