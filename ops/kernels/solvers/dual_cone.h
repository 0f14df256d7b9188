// Projections on the dual cone of the gradients, the directions that no task objects to.
//
//   DualProj (GEM, Lopez-Paz & Ranzato 2017)   w = argmin v'Gv, v >= p
//   UPGrad (Quinton & Rey 2024)                w = sum_i argmin v'Gv, v >= p_i e_i
#pragma once

#include "kernels/solvers/nonnegative_quadratic.h"
#include "kernels/solvers/unit_gramian.h"

namespace mtl {

// `preference` by task number, null = 1 / n. Returns the residual.
template <typename Team>
MTL_SOLVER double DualConeProjection(const Team& team, const UnitGramian& unit, bool each_alone,
                                     const double* preference, double* weights, Arena& arena) {
  const int n = unit.n;
  double* bound = arena.Doubles(n);  // lower bound of y, in units of `largest`
  double* b = arena.Doubles(n);
  const auto wanted = [&](int i) {
    return (preference == nullptr ? 1.0 / n : preference[unit.task[i]]) * unit.norms[i];
  };
  const auto matrix = [&](int i, int j) { return unit.Cosine(i, j); };
  NonNegativeQuadratic<Team, decltype(matrix)> problem(team, n, matrix, b, arena);
  team.For(n, [&](int i) { weights[i] = 0; });
  double residual = 0;
  for (int alone = 0; alone < (each_alone ? n : 1); ++alone) {
    const auto is_bound = [&](int i) { return !each_alone || i == alone; };
    const double largest =
        Max(team, n, 0.0, [&](int i) { return is_bound(i) ? std::fabs(wanted(i)) : 0.0; });
    if (largest == 0) continue;
    team.For(n, [&](int i) { bound[i] = is_bound(i) ? wanted(i) / largest : 0.0; });
    team.For(n, [&](int i) {
      double sum = 0;
      for (int j = 0; j < n; ++j) sum += unit.Cosine(i, j) * bound[j];
      b[i] = sum;
    });
    problem.Reset();
    problem.Solve();
    const double off = problem.Residual();
    residual = off > residual ? off : residual;
    team.For(n, [&](int i) { weights[i] += (bound[i] + problem.x[i]) * largest / unit.norms[i]; });
  }
  return residual;
}

}  // namespace mtl
