// The Gramian in the coordinates the solvers work in: the n tasks whose gradient is not zero, with
// gradients of unit length. A combination sum w_i g_i is sum y_i u_i with y_i = w_i |g_i|.
#pragma once

#include "kernels/solvers/team.h"

namespace mtl {

struct UnitGramian {
  int n = 0;        // number of tasks with a gradient
  int* task;        // [n] their numbers
  double* cosines;  // [n, n], 1 on the diagonal
  double* norms;    // [n] lengths of the gradients, divided by `scale`
  double scale;     // length of the longest gradient

  MTL_CORE double Cosine(int i, int j) const { return cosines[i * n + j]; }
};

template <typename Team>
MTL_SOLVER UnitGramian MakeUnitGramian(const Team& team, const double* gramian, int num_tasks,
                                       Arena& arena) {
  UnitGramian unit;
  unit.task = arena.Ints(num_tasks);
  unit.norms = arena.Doubles(num_tasks);
  unit.cosines = arena.Doubles(num_tasks * num_tasks);
  const auto diagonal = [&](int i) { return gramian[i * num_tasks + i]; };
  unit.scale = std::sqrt(Max(team, num_tasks, 0.0, diagonal));
  unit.n =
      static_cast<int>(team.Sum(num_tasks, [&](int i) { return diagonal(i) > 0 ? 1.0 : 0.0; }));
  team.For(1, [&](int) {
    int n = 0;
    for (int i = 0; i < num_tasks; ++i) {
      if (diagonal(i) > 0) unit.task[n++] = i;
    }
  });
  const int n = unit.n;
  team.For(n, [&](int i) { unit.norms[i] = std::sqrt(diagonal(unit.task[i])) / unit.scale; });
  team.For(n * n, [&](int e) {
    const int i = e / n, j = e % n;
    const double cosine = gramian[unit.task[i] * num_tasks + unit.task[j]] /
                          (unit.norms[i] * unit.scale) / (unit.norms[j] * unit.scale);
    unit.cosines[e] = i == j ? 1.0 : cosine > 1 ? 1.0 : cosine < -1 ? -1.0 : cosine;
  });
  return unit;
}

// |sum y_i u_i|^2
template <typename Team>
MTL_CORE double SquaredNorm(const Team& team, const UnitGramian& unit, const double* y) {
  const double sum = team.Sum(unit.n, [&](int i) {
    double row = 0;
    for (int j = 0; j < unit.n; ++j) row += unit.Cosine(i, j) * y[j];
    return y[i] * row;
  });
  return sum > 0 ? sum : 0;
}

}  // namespace mtl
