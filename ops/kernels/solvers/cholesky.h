// Cholesky factor of a small symmetric matrix, row by row, so that a row can be appended.
#pragma once

#include "kernels/solvers/team.h"

namespace mtl {

struct Cholesky {
  double* factor;  // [capacity, capacity], lower triangle
  int capacity;

  MTL_CORE double& At(int i, int j) const { return factor[i * capacity + j]; }

  // Computes row `p` from rows 0 .. p - 1; `matrix(i, j)` is needed for i = p, j <= p. False if the
  // row depends on the earlier ones: its pivot is not above `least_pivot`.
  template <typename Team, typename Matrix>
  MTL_CORE bool FactorRow(const Team& team, int p, const Matrix& matrix, double least_pivot) const {
    for (int k = 0; k < p; ++k) {
      const double dot = team.Sum(k, [&](int m) { return At(p, m) * At(k, m); });
      team.For(1, [&](int) { At(p, k) = (matrix(p, k) - dot) / At(k, k); });
    }
    const double pivot = matrix(p, p) - team.Sum(p, [&](int m) { return At(p, m) * At(p, m); });
    if (!(pivot > least_pivot)) return false;
    team.For(1, [&](int) { At(p, p) = std::sqrt(pivot); });
    return true;
  }

  // Solves (L L') x = x in place for the first `count` rows.
  template <typename Team>
  MTL_CORE void Solve(const Team& team, int count, double* x) const {
    for (int i = 0; i < count; ++i) {
      const double dot = team.Sum(i, [&](int m) { return At(i, m) * x[m]; });
      team.For(1, [&](int) { x[i] = (x[i] - dot) / At(i, i); });
    }
    for (int i = count - 1; i >= 0; --i) {
      const double dot =
          team.Sum(count - 1 - i, [&](int m) { return At(i + 1 + m, i) * x[i + 1 + m]; });
      team.For(1, [&](int) { x[i] = (x[i] - dot) / At(i, i); });
    }
  }
};

}  // namespace mtl
