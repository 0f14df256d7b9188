// FairGrad (Ban & Ji 2024): G w = w^(-1 / alpha), w > 0. Nash-MTL (Navon et al. 2022) is alpha = 1.
//
// With y_i = w_i |g_i| and h_i = |g_i|^(1 / alpha - 1) it reads C y = h y^(-1 / alpha): the minimum
// of a strictly convex function. Newton's method in the relative change s of y, shortened by 1 / (1
// + max(1, (1 + 1 / alpha) / 2) max|s|), descends from every start, keeps y above zero and ends
// quadratically.
#pragma once

#include "kernels/solvers/cholesky.h"
#include "kernels/solvers/unit_gramian.h"

namespace mtl {

// An eigenvalue of the cosines below this is zero up to rounding: some combination of the gradients
// is zero. Along its vector y grows to the power -1 / (1 + 1 / alpha) of it.
constexpr double kMinEigenvalue = 1e-12;

// Returns the residual max_i |w_i^(1 / alpha) (G w)_i - 1|, infinite if there is no solution: some
// convex combination of the gradients is zero.
template <typename Team>
MTL_SOLVER double FairGains(const Team& team, const UnitGramian& unit, double alpha,
                            double* weights, Arena& arena) {
  const int n = unit.n;
  double* y = arena.Doubles(n);
  double* share = arena.Doubles(n);  // (C y)_i y_i^(1 / alpha) / h_i: 1 at the solution
  double* curvature = arena.Doubles(n);
  double* change = arena.Doubles(n);
  const Cholesky cholesky{arena.Doubles(n * n), n};
  const double power = 1 / alpha;
  const auto raised = [&](double base, double exponent) {
    return exponent == 0 ? 1.0 : exponent == 1 ? base : std::pow(base, exponent);
  };
  const auto h = [&](int i) { return raised(unit.norms[i], power - 1); };
  team.For(n, [&](int i) { y[i] = std::pow(h(i), 1 / (1 + power)); });
  const double most =
      Max(team, n, 0.0, [&](int i) { return y[i]; }) * std::pow(kMinEigenvalue, -1 / (1 + power));
  double residual = kInfinity, previous = kInfinity;
  for (int round = 0; round < 200; ++round) {
    team.For(n, [&](int i) {
      double sum = 0;
      for (int j = 0; j < n; ++j) sum += unit.Cosine(i, j) * y[j];
      curvature[i] = h(i) * raised(y[i], 1 - power);  // h y^(-1 / alpha) y
      share[i] = sum * y[i] / curvature[i];
    });
    previous = residual;
    residual = Max(team, n, 0.0, [&](int i) {
      const double off = std::fabs(share[i] - 1);
      return off >= 0 ? off : kInfinity;  // NaN
    });
    if (residual <= 1e-14 * n || (residual <= 1e-11 && residual >= previous)) break;
    const double longest = Max(team, n, 0.0, [&](int i) { return y[i]; });
    if (!(longest < most)) return kInfinity;
    bool is_definite = true;
    for (int i = 0; i < n && is_definite; ++i) {
      is_definite = cholesky.FactorRow(
          team, i,
          [&](int a, int b) {
            return y[a] * unit.Cosine(a, b) * y[b] + (a == b ? power * curvature[a] : 0.0);
          },
          0.0);
    }
    if (!is_definite) return kInfinity;
    team.For(n, [&](int i) { change[i] = curvature[i] * (1 - share[i]); });
    cholesky.Solve(team, n, change);
    const double largest = Max(team, n, 0.0, [&](int i) { return std::fabs(change[i]); });
    const double damping = power > 1 ? (1 + power) / 2 : 1;
    const double step = largest < 0.1 ? 1 : 1 / (1 + damping * largest);
    team.For(n, [&](int i) { y[i] *= 1 + step * change[i]; });
  }
  const double unscale = std::pow(unit.scale, -2 / (1 + power));
  team.For(n, [&](int i) { weights[i] = unscale * y[i] / unit.norms[i]; });
  return residual;
}

}  // namespace mtl
