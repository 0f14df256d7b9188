// PCGrad on the CPU: the three kernels one after the other.
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

}  // namespace mtl
