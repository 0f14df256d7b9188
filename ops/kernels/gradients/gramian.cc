// Gramian on the CPU: cuts the work, and adds up the parts in a fixed order.
#include "kernels/gradients/gramian.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/slice_kernels.h"
#include "kernels/cpu/slices.h"

namespace mtl {
namespace {

// Adds the lower triangle of one slice's Gramian, over the tasks that have this tensor.
void AddSlice(const TaskGradients& gradients, const Slice& slice, double* gramian) {
  const TensorRows rows = RowsOfTensor(gradients, slice.tensor);
  if (rows.count == 0) return;
  double sums[kMaxTasks * kMaxTasks];  // on the stack: a pool thread must not throw
  std::fill(sums, sums + rows.count * rows.count, 0.0);
  MTL_SELECT_KERNEL(GramianSliceKernel)
  ({rows.row, rows.count, slice.begin, slice.count, gradients.type, sums});
  for (int p = 0; p < rows.count; ++p) {
    for (int q = 0; q <= p; ++q) {
      gramian[rows.task[p] * gradients.num_tasks + rows.task[q]] += sums[p * rows.count + q];
    }
  }
}

}  // namespace

void Gramian(const GramianArgs& args, const ParallelFor& parallel_for) {
  const TaskGradients& gradients = args.gradients;
  const int num_tasks = gradients.num_tasks;
  const int64_t entries = static_cast<int64_t>(num_tasks) * num_tasks;
  const SlicePlan plan(gradients.sizes, gradients.num_tensors);
  std::vector<double> partial(plan.num_batches() * entries, 0.0);
  plan.ForEach(parallel_for, num_tasks * ItemBytes(gradients.type),
               [&](int64_t batch, const Slice& slice) {
                 AddSlice(gradients, slice, partial.data() + batch * entries);
               });
  std::fill(args.gramian, args.gramian + entries, 0.0);
  for (int64_t batch = 0; batch < plan.num_batches(); ++batch) {
    for (int64_t e = 0; e < entries; ++e) args.gramian[e] += partial[batch * entries + e];
  }
  for (int i = 0; i < num_tasks; ++i) {
    for (int j = 0; j < i; ++j) args.gramian[j * num_tasks + i] = args.gramian[i * num_tasks + j];
  }
}

}  // namespace mtl
