// The weightings that are functions of an eigenvalue decomposition.
//
//   IMTL-G (Liu et al. 2021)                C y = 1 (equal projections), weights sum to 1
//   Aligned-MTL (Senushkin et al. 2023)     w = sqrt(s) V l^(-1/2) V' p of G = V l V'
//
// Eigenvalues that are zero up to rounding are left out (the pseudo-inverse).
#pragma once

#include "kernels/solvers/balance.h"
#include "kernels/solvers/symmetric_eigen.h"
#include "kernels/solvers/unit_gramian.h"

namespace mtl {

template <typename Team>
MTL_CORE double RankTolerance(const Team& team, int n, const double* matrix) {
  return n * kEpsilon * Max(team, n, 0.0, [&](int i) { return matrix[i * n + i]; });
}

// Sets `has_solution` to false if no combination has equal projections: linearly dependent
// gradients. The weights are then those of the pseudo-inverse, or zero if these cannot sum to 1.
template <typename Team>
MTL_SOLVER double EqualProjections(const Team& team, const UnitGramian& unit, double* weights,
                                   bool* has_solution, Arena& arena) {
  const int n = unit.n;
  double* matrix = arena.Doubles(n * n);
  double* vectors = arena.Doubles(n * n);
  double* coefficient = arena.Doubles(n);
  team.For(n * n, [&](int e) { matrix[e] = unit.cosines[e]; });
  SymmetricEigen(team, n, matrix, vectors);
  const double tolerance = RankTolerance(team, n, matrix);
  team.For(n, [&](int k) {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += vectors[i * n + k];
    coefficient[k] = matrix[k * n + k] > tolerance ? sum / matrix[k * n + k] : 0.0;
  });
  const int shortest = team.ArgMin(n, [&](int i) { return unit.norms[i]; });
  const double least = unit.norms[shortest];
  team.For(n, [&](int i) {
    double y = 0;
    for (int k = 0; k < n; ++k) y += vectors[i * n + k] * coefficient[k];
    weights[i] = y * (least / unit.norms[i]);
  });
  const double sum = team.Sum(n, [&](int i) { return weights[i]; });
  const double magnitude = team.Sum(n, [&](int i) { return std::fabs(weights[i]); });
  *has_solution = std::fabs(sum) > 1e-12 * magnitude;
  team.For(n, [&](int i) { weights[i] = *has_solution ? weights[i] / sum : 0.0; });
  if (!*has_solution) return 0;
  // Projections <u_i, d>, in units of the lengths of what is added up.
  const auto projection = [&](int i) {
    double total = 0;
    for (int j = 0; j < n; ++j) total += unit.Cosine(i, j) * weights[j] * unit.norms[j];
    return total;
  };
  const double mean = team.Sum(n, projection) / n;
  const double length = team.Sum(n, [&](int i) { return std::fabs(weights[i]) * unit.norms[i]; });
  const double residual =
      Max(team, n, 0.0, [&](int i) { return std::fabs(projection(i) - mean); }) / length;
  *has_solution = residual <= kResidualBound;
  return residual;
}

template <typename Team>
MTL_SOLVER double AlignedComponents(const Team& team, const UnitGramian& unit, AlignedScale scale,
                                    const double* preference, double* weights, Arena& arena) {
  const int n = unit.n;
  double* matrix = arena.Doubles(n * n);
  double* vectors = arena.Doubles(n * n);
  double* coefficient = arena.Doubles(n);
  team.For(n * n,
           [&](int e) { matrix[e] = unit.cosines[e] * unit.norms[e / n] * unit.norms[e % n]; });
  SymmetricEigen(team, n, matrix, vectors);
  const double tolerance = RankTolerance(team, n, matrix);
  const auto value = [&](int k) { return matrix[k * n + k]; };
  const auto is_kept = [&](int k) { return value(k) > tolerance; };
  const double rank = team.Sum(n, [&](int k) { return is_kept(k) ? 1.0 : 0.0; });
  double reference = 0;
  if (scale == AlignedScale::mean) {
    reference = team.Sum(n, [&](int k) { return is_kept(k) ? value(k) : 0.0; }) / rank;
  } else {
    // The eigenvalue with `below` smaller ones; the lower of two middle ones is the median.
    const int below = scale == AlignedScale::min ? 0 : (static_cast<int>(rank) - 1) / 2;
    const int chosen = team.ArgMin(n, [&](int k) {
      if (!is_kept(k)) return kInfinity;
      int smaller = 0;
      for (int m = 0; m < n; ++m) {
        smaller += is_kept(m) && (value(m) < value(k) || (value(m) == value(k) && m < k));
      }
      return smaller == below ? 0.0 : kInfinity;
    });
    reference = value(chosen);
  }
  team.For(n, [&](int k) {
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      sum += vectors[i * n + k] * (preference == nullptr ? 1.0 / n : preference[unit.task[i]]);
    }
    coefficient[k] = is_kept(k) ? std::sqrt(reference / value(k)) * sum : 0.0;
  });
  team.For(n, [&](int i) {
    double sum = 0;
    for (int k = 0; k < n; ++k) sum += vectors[i * n + k] * coefficient[k];
    weights[i] = sum;
  });
  return 0;
}

}  // namespace mtl
