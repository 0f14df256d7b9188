// PCGrad: the three kernels one after the other; on the GPU on one stream, and nothing comes back
// to the host.
#include "kernels/gradients/gradient_projection.h"

#include <vector>

#include "kernels/gradients/gramian.h"
#include "kernels/gradients/weighted_sum.h"
#include "kernels/solvers/balance.h"

namespace mtl {

void GradientProjection(const GradientProjectionArgs& args, const ParallelFor& parallel_for) {
  const int num_tasks = args.gradients.num_tasks;
  std::vector<double> gramian(static_cast<size_t>(num_tasks) * num_tasks);
  std::vector<double> workspace(BalanceWorkspaceSize(num_tasks));
  double residual;
  int32_t status;
  Gramian({args.gradients, gramian.data()}, parallel_for);
  BalanceArgs balance{};
  balance.num_tasks = num_tasks;
  balance.gramian = gramian.data();
  balance.method = BalanceMethod::pcgrad;
  balance.order = args.order;
  balance.weights = args.weights;
  balance.residual = &residual;
  balance.status = &status;
  Balance(balance, workspace.data());
  WeightedSum({args.gradients, args.weights, args.directions}, parallel_for);
}

#if defined(MTL_WITH_CUDA)
int64_t GradientProjectionWorkspaceSize(const TaskGradients& gradients) {
  const int64_t num_tasks = gradients.num_tasks;
  return num_tasks * num_tasks + 2 + BalanceWorkspaceSize(num_tasks) +
         GramianWorkspaceSize(gradients);
}

CudaStatus GradientProjectionCuda(const GradientProjectionArgs& args, double* workspace,
                                  CudaStream stream) {
  const int num_tasks = args.gradients.num_tasks;
  double* gramian = workspace;
  double* report = gramian + num_tasks * num_tasks;
  double* for_balance = report + 2;
  double* for_gramian = for_balance + BalanceWorkspaceSize(num_tasks);
  CudaStatus status = GramianCuda({args.gradients, gramian}, for_gramian, stream);
  if (status != 0) return status;
  BalanceArgs balance{};
  balance.num_tasks = num_tasks;
  balance.gramian = gramian;
  balance.method = BalanceMethod::pcgrad;
  balance.order = args.order;
  balance.weights = args.weights;
  balance.residual = report;
  balance.status = reinterpret_cast<int32_t*>(report + 1);
  status = BalanceCuda(balance, for_balance, stream);
  if (status != 0) return status;
  return WeightedSumCuda({args.gradients, args.weights, args.directions}, stream);
}
#endif

}  // namespace mtl
