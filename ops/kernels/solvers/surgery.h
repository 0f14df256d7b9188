// The weightings that change one task's gradient by the others, one after the other.
//
//   PCGrad (Yu et al. 2020)     v -= <v, u_j> u_j where <v, u_j> < 0
//   GradVac (Wang et al. 2021)  v += |v| (t sqrt(1 - c^2) - c sqrt(1 - t^2)) / sqrt(1 - t^2) u_j
//   where
//                               the cosine c of v and u_j is below its target t; t follows c with
//                               rate beta
//
// v starts as g_i and stays a combination of the original gradients. The weights are the sum over
// i.
#pragma once

#include "kernels/solvers/unit_gramian.h"

namespace mtl {

// The position of task `task` among the present ones, or -1.
MTL_CORE int PositionOf(const UnitGramian& unit, int task) {
  for (int i = 0; i < unit.n; ++i) {
    if (unit.task[i] == task) return i;
  }
  return -1;
}

// `targets` null: PCGrad. `new_targets` [K, K] may be null; the caller has copied `targets` into
// it.
template <typename Team>
MTL_SOLVER void Surgery(const Team& team, const UnitGramian& unit, int num_tasks,
                        const int32_t* order, bool to_targets, const double* targets, double beta,
                        double* new_targets, double* weights, Arena& arena) {
  const int n = unit.n;
  double* coefficients = arena.Doubles(n * n);  // row i: v of task i in unit gradients
  team.For(n, [&](int i) {
    double* y = coefficients + i * n;
    for (int k = 0; k < n; ++k) y[k] = k == i ? unit.norms[i] : 0.0;
    const int task = unit.task[i];
    for (int step = 0; step + 1 < num_tasks; ++step) {
      const int other =
          order == nullptr ? step + (step >= task) : order[task * (num_tasks - 1) + step];
      const int j = PositionOf(unit, other);
      if (j < 0 || j == i) continue;
      double projection = 0;
      for (int k = 0; k < n; ++k) projection += unit.Cosine(j, k) * y[k];
      if (!to_targets) {
        if (projection < 0) y[j] -= projection;
        continue;
      }
      double square = 0;
      for (int a = 0; a < n; ++a) {
        double row = 0;
        for (int b = 0; b < n; ++b) row += unit.Cosine(a, b) * y[b];
        square += y[a] * row;
      }
      const double length = std::sqrt(square > 0 ? square : 0);
      double cosine = length > 0 ? projection / length : 0.0;
      cosine = cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
      const int entry = task * num_tasks + other;
      const double target = targets == nullptr ? 0.0 : targets[entry];
      const double off_target = std::sqrt(1 - target * target > 0 ? 1 - target * target : 0);
      if (cosine < target && off_target > 0) {
        const double off_cosine = std::sqrt(1 - cosine * cosine);
        y[j] += length * (target * off_cosine - cosine * off_target) / off_target;
      }
      if (new_targets != nullptr) new_targets[entry] = (1 - beta) * target + beta * cosine;
    }
  });
  team.For(n, [&](int k) {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += coefficients[i * n + k];
    weights[k] = sum / unit.norms[k];
  });
}

}  // namespace mtl
