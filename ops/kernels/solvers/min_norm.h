// MGDA (Sener & Koltun 2018; Desideri 2012): the shortest convex combination of the gradients.
//
// With unit gradients u and d_i = |g_min| / |g_i|, the weights are a_i = d_i y_i for the y >= 0
// with d'y = 1 of least |sum y_i u_i|. Up to its length that is the minimum of |sum y_i u_i|^2 +
// (d'y - 1)^2 over y >= 0, which has no constraint but the sign.
#pragma once

#include "kernels/solvers/nonnegative_quadratic.h"
#include "kernels/solvers/unit_gramian.h"

namespace mtl {

// Writes weights of the present tasks that sum to 1; returns the residual.
template <typename Team>
MTL_SOLVER double MinNorm(const Team& team, const UnitGramian& unit, double* weights,
                          Arena& arena) {
  const int n = unit.n;
  double* d = arena.Doubles(n);
  double* b = arena.Doubles(n);
  const int shortest = team.ArgMin(n, [&](int i) { return unit.norms[i]; });
  team.For(n, [&](int i) {
    d[i] = unit.norms[shortest] / unit.norms[i];
    b[i] = -d[i];
  });
  const auto matrix = [&](int i, int j) { return unit.Cosine(i, j) + d[i] * d[j]; };
  NonNegativeQuadratic<Team, decltype(matrix)> problem(team, n, matrix, b, arena);
  problem.Solve();
  double* y = problem.x;
  const double length = team.Sum(n, [&](int i) { return d[i] * y[i]; });
  team.For(n, [&](int i) {
    y[i] /= length;
    weights[i] = d[i] * y[i];
  });
  // Optimal: <u_i, s> >= d_i |s|^2 with s = sum y_i u_i, equal where y_i > 0.
  const double square = SquaredNorm(team, unit, y);
  return Max(team, n, 0.0, [&](int i) {
    double slack = -d[i] * square;
    for (int j = 0; j < n; ++j) slack += unit.Cosine(i, j) * y[j];
    return y[i] > 0 ? std::fabs(slack) : -slack;
  });
}

}  // namespace mtl
