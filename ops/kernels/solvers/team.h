// Who runs a solver: one CPU thread, or the 32 lanes of a CUDA warp. Solvers are written once
// against this interface:
//
//   team.For(n, f)      f(i) for i in [0, n), i's spread over the team; what was written before is
//                       seen in f, what f writes is seen after
//   team.Sum(n, f)      sum of f(i), the same on every member
//   team.ArgMin(n, f)   the least i that minimises f(i), -1 if no f(i) is below infinity
//
// Everything between these calls is computed by every member alike, from the same values; memory is
// written inside For only.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__CUDACC__)
#define MTL_CORE __device__ inline
#define MTL_SOLVER __device__ __noinline__  // or ptxas takes minutes
#else
#define MTL_CORE inline
#define MTL_SOLVER inline
#endif

namespace mtl {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kEpsilon = 2.220446049250313e-16;

#if !defined(__CUDACC__)

struct SerialTeam {
  template <typename Function>
  void For(int n, const Function& f) const {
    for (int i = 0; i < n; ++i) f(i);
  }

  template <typename Function>
  double Sum(int n, const Function& f) const {
    double parts[4] = {0, 0, 0, 0};  // independent, so that additions overlap
    int i = 0;
    for (; i + 4 <= n; i += 4) {
      parts[0] += f(i);
      parts[1] += f(i + 1);
      parts[2] += f(i + 2);
      parts[3] += f(i + 3);
    }
    for (; i < n; ++i) parts[0] += f(i);
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
  }

  template <typename Function>
  int ArgMin(int n, const Function& f) const {
    int best = -1;
    double least = kInfinity;
    for (int i = 0; i < n; ++i) {
      const double value = f(i);
      if (value < least) {
        least = value;
        best = i;
      }
    }
    return best;
  }
};

#else

struct WarpTeam {
  template <typename Function>
  __device__ void For(int n, const Function& f) const {
    __syncwarp();
    for (int i = threadIdx.x; i < n; i += 32) f(i);
    __syncwarp();
  }

  template <typename Function>
  __device__ double Sum(int n, const Function& f) const {
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += 32) sum += f(i);
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    return sum;
  }

  template <typename Function>
  __device__ int ArgMin(int n, const Function& f) const {
    double least = kInfinity;
    int best = -1;
    for (int i = threadIdx.x; i < n; i += 32) {
      const double value = f(i);
      if (value < least) {
        least = value;
        best = i;
      }
    }
    for (int step = 16; step > 0; step /= 2) {
      const double other = __shfl_xor_sync(0xffffffffu, least, step);
      const int index = __shfl_xor_sync(0xffffffffu, best, step);
      if (other < least || (other == least && index >= 0 && (best < 0 || index < best))) {
        least = other;
        best = index;
      }
    }
    return best;
  }
};

#endif

// The greatest f(i), or `floor` if none is above it.
template <typename Team, typename Function>
MTL_CORE double Max(const Team& team, int n, double floor, const Function& f) {
  const int i = team.ArgMin(n, [&](int k) { return -f(k); });
  return i < 0 || f(i) < floor ? floor : f(i);
}

// Hands out parts of the caller's workspace.
struct Arena {
  double* next;
  MTL_CORE double* Doubles(int count) {
    double* taken = next;
    next += count;
    return taken;
  }
  MTL_CORE int* Ints(int count) { return reinterpret_cast<int*>(Doubles((count + 1) / 2)); }
};

}  // namespace mtl
