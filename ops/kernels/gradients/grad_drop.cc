// GradDrop on the CPU: cuts the work and picks the tasks that have each tensor.
#include "kernels/gradients/grad_drop.h"

#include "kernels/cpu/slice_kernels.h"
#include "kernels/cpu/slices.h"

namespace mtl {

void GradDrop(const GradDropArgs& args, const ParallelFor& parallel_for) {
  const TaskGradients& gradients = args.gradients;
  const SlicePlan plan(gradients.sizes, gradients.num_tensors);
  const bool past_caches = IsPastCaches(gradients);
  const int64_t bytes = (gradients.num_tasks + 1) * ItemBytes(gradients.type) + sizeof(float);
  plan.ForEach(parallel_for, bytes, [&](int64_t, const Slice& slice) {
    const TensorRows rows = RowsOfTensor(gradients, slice.tensor);
    float leak[kMaxTasks];
    for (int p = 0; p < rows.count; ++p) leak[p] = args.leak[rows.task[p]];
    MTL_SELECT_KERNEL(GradDropSliceKernel)
    ({rows.row, leak, rows.count, slice.begin, slice.count, gradients.type,
      args.uniform[slice.tensor], args.directions[slice.tensor], past_caches});
  });
}

}  // namespace mtl
