// PCGrad on the GPU: the three kernels on one stream; nothing comes back to the host.
#include "kernels/gradients/gradient_projection.h"
#include "kernels/gradients/gramian.h"
#include "kernels/gradients/weighted_sum.h"
#include "kernels/solvers/balance.h"

namespace mtl {

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

}  // namespace mtl
