// Eigenvalues and eigenvectors of a small symmetric matrix: Jacobi's rotations, which find small
// eigenvalues of a positive semidefinite matrix to high relative accuracy (Demmel & Veselic 1992).
#pragma once

#include "kernels/solvers/team.h"

namespace mtl {

// `matrix` [n, n] becomes diagonal (the eigenvalues, in no order); column k of `vectors` [n, n]
// belongs to matrix[k, k].
template <typename Team>
MTL_SOLVER void SymmetricEigen(const Team& team, int n, double* matrix, double* vectors) {
  const double trace = team.Sum(n, [&](int i) { return std::fabs(matrix[i * n + i]); });
  team.For(n * n, [&](int e) { vectors[e] = e / n == e % n ? 1.0 : 0.0; });
  for (int sweep = 0; sweep < 40; ++sweep) {
    bool has_rotated = false;
    for (int p = 0; p < n; ++p) {
      for (int q = p + 1; q < n; ++q) {
        const double app = matrix[p * n + p], aqq = matrix[q * n + q], apq = matrix[p * n + q];
        if (std::fabs(apq) <= kEpsilon * std::sqrt(std::fabs(app) * std::fabs(aqq)) ||
            std::fabs(apq) <= 1e-3 * kEpsilon * kEpsilon * trace) {
          continue;
        }
        has_rotated = true;
        const double theta = (aqq - app) / (2 * apq);
        const double tangent =
            (theta >= 0 ? 1.0 : -1.0) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        const double cosine = 1 / std::sqrt(tangent * tangent + 1);
        const double sine = tangent * cosine;
        team.For(n, [&](int k) {
          const double vp = vectors[k * n + p], vq = vectors[k * n + q];
          vectors[k * n + p] = cosine * vp - sine * vq;
          vectors[k * n + q] = sine * vp + cosine * vq;
          if (k == p || k == q) return;
          const double akp = matrix[k * n + p], akq = matrix[k * n + q];
          matrix[k * n + p] = matrix[p * n + k] = cosine * akp - sine * akq;
          matrix[k * n + q] = matrix[q * n + k] = sine * akp + cosine * akq;
        });
        team.For(1, [&](int) {
          matrix[p * n + p] = app - tangent * apq;
          matrix[q * n + q] = aqq + tangent * apq;
          matrix[p * n + q] = matrix[q * n + p] = 0;
        });
      }
    }
    if (!has_rotated) return;
  }
}

}  // namespace mtl
