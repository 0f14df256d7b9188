// Weighted sum on the CPU: cuts the work and picks the tasks that have each tensor.
#include "kernels/gradients/weighted_sum.h"

#include "kernels/cpu/slice_kernels.h"
#include "kernels/cpu/slices.h"

namespace mtl {

void WeightedSum(const WeightedSumArgs& args, const ParallelFor& parallel_for) {
  const TaskGradients& gradients = args.gradients;
  const SlicePlan plan(gradients.sizes, gradients.num_tensors);
  const bool past_caches = IsPastCaches(gradients);
  plan.ForEach(parallel_for, (gradients.num_tasks + 1) * ItemBytes(gradients.type),
               [&](int64_t, const Slice& slice) {
                 const TensorRows rows = RowsOfTensor(gradients, slice.tensor);
                 float weights[kMaxTasks];
                 bool is_in_place = false;  // then the sum is in the caches already
                 for (int p = 0; p < rows.count; ++p) {
                   weights[p] = static_cast<float>(args.weights[rows.task[p]]);
                   is_in_place |= rows.row[p] == args.sums[slice.tensor];
                 }
                 MTL_SELECT_KERNEL(WeightedSumSliceKernel)
                 ({rows.row, weights, rows.count, slice.begin, slice.count, gradients.type,
                   args.sums[slice.tensor], past_caches && !is_in_place});
               });
}

}  // namespace mtl
