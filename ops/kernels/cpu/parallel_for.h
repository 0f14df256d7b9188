// How a kernel runs on many threads without owning any: the caller injects its thread pool.
#pragma once

#include <cstdint>
#include <functional>

namespace mtl {

// Calls `body(i)` once for every i in [0, count), in any order, on any threads, and returns when
// all calls have returned. `cost_ns` is the rough cost of one call, for pools that batch calls.
using ParallelFor =
    std::function<void(int64_t count, int64_t cost_ns, const std::function<void(int64_t)>& body)>;

inline void RunInOrder(int64_t count, int64_t /*cost_ns*/,
                       const std::function<void(int64_t)>& body) {
  for (int64_t i = 0; i < count; ++i) body(i);
}

}  // namespace mtl
