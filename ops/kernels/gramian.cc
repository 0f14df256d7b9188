// Gramian on the CPU: cuts the work, and adds up the parts in a fixed order.
//
// Work is cut into slices of 64 Ki elements of one tensor. A slice is walked in blocks of 1024
// elements, small enough that the rows of all tasks stay in the first-level cache while every pair
// of tasks is multiplied (gramian_block.cc).
#include "kernels/gramian.h"

#include <algorithm>
#include <vector>

#include "kernels/gramian_block.h"

namespace mtl {
namespace {

constexpr int64_t kSliceElements = 64 * 1024;

struct Slice {
  int tensor;
  int64_t begin;
  int64_t end;
};

std::vector<Slice> Slices(const GramianArgs& args) {
  std::vector<Slice> slices;
  for (int v = 0; v < args.num_tensors; ++v) {
    for (int64_t begin = 0; begin < args.sizes[v]; begin += kSliceElements) {
      slices.push_back({v, begin, std::min(begin + kSliceElements, args.sizes[v])});
    }
  }
  return slices;
}

// Adds the lower triangle of one slice's Gramian, over the tasks that have this tensor.
void AddSlice(const GramianArgs& args, const Slice& slice, double* gramian) {
  std::vector<int> tasks;
  std::vector<const void*> rows;
  for (int k = 0; k < args.num_tasks; ++k) {
    const void* row = args.gradients[static_cast<int64_t>(k) * args.num_tensors + slice.tensor];
    if (row == nullptr) continue;
    tasks.push_back(k);
    rows.push_back(row);
  }
  const int num_rows = static_cast<int>(rows.size());
  std::vector<float> scratch(args.type == GradientType::float32 ? 0
                                                                : num_rows * kGramianBlockElements);
  std::vector<double> sums(static_cast<size_t>(num_rows) * num_rows, 0.0);
  for (int64_t begin = slice.begin; begin < slice.end; begin += kGramianBlockElements) {
    const int64_t count = std::min(kGramianBlockElements, slice.end - begin);
    AddGramianBlock({rows.data(), num_rows, begin, count, args.type, scratch.data(), sums.data()});
  }
  for (int p = 0; p < num_rows; ++p) {
    for (int q = 0; q <= p; ++q) {
      gramian[tasks[p] * args.num_tasks + tasks[q]] += sums[p * num_rows + q];
    }
  }
}

}  // namespace

void Gramian(const GramianArgs& args, const ParallelFor& parallel_for) {
  const std::vector<Slice> slices = Slices(args);
  const int64_t entries = static_cast<int64_t>(args.num_tasks) * args.num_tasks;
  std::vector<double> partial(slices.size() * entries, 0.0);
  parallel_for(static_cast<int64_t>(slices.size()), args.num_tasks * kSliceElements / 2,
               [&](int64_t s) { AddSlice(args, slices[s], partial.data() + s * entries); });
  std::fill(args.gramian, args.gramian + entries, 0.0);
  for (size_t s = 0; s < slices.size(); ++s) {
    for (int64_t e = 0; e < entries; ++e) args.gramian[e] += partial[s * entries + e];
  }
  for (int i = 0; i < args.num_tasks; ++i) {
    for (int j = 0; j < i; ++j) {
      args.gramian[j * args.num_tasks + i] = args.gramian[i * args.num_tasks + j];
    }
  }
}

}  // namespace mtl
