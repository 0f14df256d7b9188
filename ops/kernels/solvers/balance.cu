// The solvers on the GPU: one warp, on the caller's stream.
#include <cuda_runtime_api.h>

#include "kernels/solvers/balance.h"
#include "kernels/solvers/balance_core.h"

namespace mtl {
namespace {

__global__ void __launch_bounds__(32) BalanceKernel(BalanceArgs args, double* workspace) {
  BalanceCore(WarpTeam{}, args, workspace);
}

__global__ void SetParameterKernel(double value, double* parameter) { *parameter = value; }

}  // namespace

CudaStatus BalanceCuda(const BalanceArgs& args, double* workspace, CudaStream stream) {
  BalanceKernel<<<1, 32, 0, static_cast<cudaStream_t>(stream)>>>(args, workspace);
  return cudaGetLastError();
}

CudaStatus SetParameterCuda(double value, double* parameter, CudaStream stream) {
  SetParameterKernel<<<1, 1, 0, static_cast<cudaStream_t>(stream)>>>(value, parameter);
  return cudaGetLastError();
}

}  // namespace mtl
