// How element-wise work on many tensors is cut for CPU threads.
//
// Tensors are cut into slices of at most 64 Ki elements; consecutive slices form a batch, the unit
// of work of a thread, until it holds 64 Ki elements: a thousand tiny tensors are a few batches,
// one huge tensor many. The cut depends on the sizes alone, never on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/parallel_for.h"

namespace mtl {

constexpr int64_t kSliceElements = 64 * 1024;

struct Slice {
  int tensor;
  int64_t begin;  // first element
  int64_t count;  // at most kSliceElements
};

class SlicePlan {
 public:
  SlicePlan(const int64_t* sizes, int num_tensors) : batches_{0} {
    int64_t in_batch = 0;
    for (int v = 0; v < num_tensors; ++v) {
      for (int64_t begin = 0; begin < sizes[v]; begin += kSliceElements) {
        if (in_batch >= kSliceElements) {
          batches_.push_back(slices_.size());
          in_batch = 0;
        }
        slices_.push_back({v, begin, std::min(kSliceElements, sizes[v] - begin)});
        in_batch += slices_.back().count;
      }
    }
    batches_.push_back(slices_.size());
  }

  int64_t num_batches() const { return static_cast<int64_t>(batches_.size()) - 1; }

  // Calls `body(batch, slice)` for every slice; the slices of a batch in order, on one thread.
  template <typename Body>
  void ForEach(const ParallelFor& parallel_for, int64_t bytes_per_element, const Body& body) const {
    const int64_t cost_ns = bytes_per_element * kSliceElements / 10;  // at 10 GB/s
    parallel_for(num_batches(), cost_ns, [&](int64_t batch) {
      for (size_t s = batches_[batch]; s < batches_[batch + 1]; ++s) body(batch, slices_[s]);
    });
  }

 private:
  std::vector<Slice> slices_;
  std::vector<size_t> batches_;  // first slice of each batch, and one past the last
};

}  // namespace mtl
