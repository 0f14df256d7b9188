// CAGrad (Liu et al. 2021): max_d min_i <g_i, d> subject to |d - g_0| <= c |g_0|, g_0 the mean.
//
// For a level t, the direction nearest to g_0 with <g_i, d> >= t for all i is g_0 + sum x_i g_i
// with the x >= 0 that minimises 1/2 x'Gx + (G 1/n - t 1)'x. Its distance |sum x_i g_i| is convex
// in t and grows with it, so the level with distance c |g_0| is computed by Newton's method kept
// inside a bracket; on one support the distance is the root of a quadratic, and the step exact.
#pragma once

#include "kernels/solvers/nonnegative_quadratic.h"
#include "kernels/solvers/unit_gramian.h"

namespace mtl {

// Weights of the present tasks. Where some gradients cancel each other, no direction may gain more
// than 0, and one nearer to g_0 than c |g_0| gains it: `has_solution` becomes false, and the
// weights are those of the nearest such direction.
template <typename Team>
MTL_SOLVER double CAGrad(const Team& team, const UnitGramian& unit, double c, double* weights,
                         bool* has_solution, Arena& arena) {
  const int n = unit.n;
  double* mean = arena.Doubles(n);        // <u_i, g_0>
  double* b = arena.Doubles(n);           // mean_i - level / |g_i|
  double* from_mean = arena.Doubles(n);   // on the support: A^-1 mean
  double* from_level = arena.Doubles(n);  // on the support: A^-1 (1 / |g|)
  double* y = weights;
  team.For(n, [&](int i) { y[i] = unit.norms[i] / n; });
  const double square = SquaredNorm(team, unit, y);
  const double total = team.Sum(n, [&](int i) { return y[i]; });
  // A mean that is zero up to rounding leaves nowhere to go.
  const double radius = square > 4 * kEpsilon * total * total ? c * std::sqrt(square) : 0;
  team.For(n, [&](int i) {
    double sum = 0;
    for (int j = 0; j < n; ++j) sum += unit.Cosine(i, j) * y[j];
    mean[i] = sum;
  });
  *has_solution = true;
  if (radius == 0) {
    team.For(n, [&](int i) { weights[i] = 1.0 / n; });
    return 0;
  }
  const auto gain = [&](int i, double length) { return unit.norms[i] * (mean[i] + length); };
  const auto lowest = [&](double length) {
    const int i = team.ArgMin(n, [&](int k) { return gain(k, length); });
    return gain(i, length);
  };
  double low = lowest(0.0), high = lowest(radius);  // the level lies between
  const double least_gain = high - low;
  double level = high;
  const auto matrix = [&](int i, int j) { return unit.Cosine(i, j); };
  NonNegativeQuadratic<Team, decltype(matrix)> problem(team, n, matrix, b, arena);
  double distance = 0;
  for (int round = 0; round < 200; ++round) {
    team.For(n, [&](int i) { b[i] = mean[i] - level / unit.norms[i]; });
    problem.Solve();
    distance = std::sqrt(SquaredNorm(team, unit, problem.x));
    const bool is_too_high = !problem.is_bounded || distance > radius;
    if (problem.is_bounded && std::fabs(distance - radius) <= 1e-14 * radius) break;
    (is_too_high ? high : low) = level;
    if (!(high - low > 1e-15 * (std::fabs(high) + std::fabs(low)) + 1e-22 * least_gain)) {
      if (level == low) break;
      level = low;
      problem.Reset();
      continue;
    }
    double next = low;  // outside the open bracket: bisect
    if (problem.is_bounded && problem.count > 0) {
      const int count = problem.count;
      const int* support = problem.support;
      team.For(count, [&](int p) {
        from_mean[p] = mean[support[p]];
        from_level[p] = 1 / unit.norms[support[p]];
      });
      problem.cholesky.Solve(team, count, from_mean);
      problem.cholesky.Solve(team, count, from_level);
      // distance^2 = level^2 aa - 2 level ab + bb
      const double aa =
          team.Sum(count, [&](int p) { return from_level[p] / unit.norms[support[p]]; });
      const double ab =
          team.Sum(count, [&](int p) { return from_mean[p] / unit.norms[support[p]]; });
      const double bb = team.Sum(count, [&](int p) { return from_mean[p] * mean[support[p]]; });
      const double root = ab * ab - aa * (bb - radius * radius);
      if (root >= 0) next = (ab + std::sqrt(root)) / aa;
    }
    if (!problem.is_bounded) problem.Reset();
    level = next > low && next < high ? next : low + (high - low) / 2;
  }
  // The bracket closes on the level; a distance far from the radius means that it jumps there.
  *has_solution = problem.is_bounded && std::fabs(distance - radius) <= 1e-5 * radius;
  team.For(n, [&](int i) { weights[i] = 1.0 / n + problem.x[i] / unit.norms[i]; });
  // Optimal: <u_i, g_0 + sum x_j u_j> >= level / |g_i|, equal where x_i > 0, in units of |g_0|.
  return problem.Residual() / (radius / c);
}

}  // namespace mtl
