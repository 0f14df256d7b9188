// min 1/2 x'Ax + b'x, x >= 0, for a positive semidefinite A with a diagonal near 1: the exact
// active set method of Lawson & Hanson (1974) in Gramian form. It moves from support to support
// (the x_i that are above zero), solving each with a Cholesky factor that grows by a row.
#pragma once

#include "kernels/solvers/cholesky.h"
#include "kernels/solvers/team.h"

namespace mtl {

template <typename Team, typename Matrix>
class NonNegativeQuadratic {
 public:
  MTL_CORE NonNegativeQuadratic(const Team& team, int n, const Matrix& matrix, const double* b,
                                Arena& arena)
      : x(arena.Doubles(n)),
        support(arena.Ints(n)),
        count(0),
        is_bounded(true),
        cholesky{arena.Doubles(n * n), n},
        team_(team),
        n_(n),
        matrix_(matrix),
        b_(b),
        gradient_(arena.Doubles(n)),
        trial_(arena.Doubles(n)),
        state_(arena.Ints(n)) {
    Reset();
  }

  MTL_CORE void Reset() {
    team_.For(n_, [&](int i) {
      x[i] = 0;
      state_[i] = kFree;
    });
    count = 0;
  }

  // Starts from the current x and support, so a problem that changed little is solved at once.
  MTL_SOLVER void Solve() {
    is_bounded = true;
    const double largest = Max(team_, n_, 0.0, [&](int i) { return std::fabs(b_[i]); });
    const double tolerance = 16 * n_ * kEpsilon * largest;
    team_.For(n_, [&](int i) {
      if (state_[i] == kBlocked) state_[i] = kFree;
    });
    MoveToMinimum();
    for (int round = 0; round < 20 * n_ + 20; ++round) {
      team_.For(n_, [&](int i) { gradient_[i] = Gradient(i); });
      const int entering = team_.ArgMin(n_, [&](int i) {
        return state_[i] == kFree && gradient_[i] < -tolerance ? gradient_[i] : kInfinity;
      });
      if (entering < 0) return Refine(tolerance);
      const double slope = gradient_[entering];
      if (!Append(entering)) {
        if (!Exchange(entering, slope, -1e-7 * largest)) {
          team_.For(1, [&](int) { state_[entering] = kBlocked; });
        }
        continue;
      }
      const double before = x[entering];
      MoveToMinimum();
      const bool has_moved = x[entering] > before;
      team_.For(n_, [&](int i) {
        if (has_moved && state_[i] == kBlocked) state_[i] = kFree;
        if (!has_moved && i == entering && state_[i] == kFree) state_[i] = kBlocked;
      });
    }
  }

  MTL_CORE double Gradient(int i) const {
    double sum = b_[i];
    for (int p = 0; p < count; ++p) sum += matrix_(i, support[p]) * x[support[p]];
    return sum;
  }

  // How far the optimality conditions are off, absolutely.
  MTL_CORE double Residual() const {
    return Max(team_, n_, 0.0, [&](int i) {
      const double gradient = Gradient(i);
      return x[i] > 0 ? std::fabs(gradient) : -gradient;
    });
  }

  double* x;     // [n]
  int* support;  // [count] the indices with x > 0
  int count;
  bool is_bounded;    // false: there is a direction without a minimum
  Cholesky cholesky;  // of the support's rows and columns

 private:
  enum State { kFree = 0, kInSupport = 1, kBlocked = 2 };
  static constexpr double kMinPivot = 1e-13;

  MTL_CORE bool FactorRow(int p) {
    return cholesky.FactorRow(
        team_, p, [&](int i, int j) { return matrix_(support[i], support[j]); }, kMinPivot);
  }

  MTL_CORE bool Append(int i) {
    team_.For(1, [&](int) { support[count] = i; });
    if (!FactorRow(count)) return false;
    team_.For(1, [&](int) { state_[i] = kInSupport; });
    ++count;
    return true;
  }

  // For an index that depends on the support: along (1 there, -A_SS^-1 A_Se on the support) the
  // function falls without curvature, until an x_i is zero and leaves in exchange; if none does,
  // there is no minimum. False if nothing has moved.
  MTL_CORE bool Exchange(int entering, double slope, double least_slope) {
    if (slope >= least_slope) return false;  // rounding only
    team_.For(count, [&](int p) { trial_[p] = matrix_(support[p], entering); });
    cholesky.Solve(team_, count, trial_);
    const auto share = [&](int p) {
      return trial_[p] > 1e-9 ? x[support[p]] / trial_[p] : kInfinity;
    };
    const int leaving = team_.ArgMin(count, share);
    if (leaving < 0) {
      is_bounded = false;
      return false;
    }
    const double step = share(leaving);
    team_.For(count, [&](int p) {
      const double value = x[support[p]] - step * trial_[p];
      x[support[p]] = value > 0 ? value : 0;
    });
    Remove(leaving);
    if (!Append(entering)) return false;
    team_.For(1, [&](int) { x[entering] = step; });
    MoveToMinimum();
    return true;
  }

  MTL_CORE void Remove(int position) {
    team_.For(1, [&](int) {
      state_[support[position]] = kFree;
      x[support[position]] = 0;
      for (int p = position; p + 1 < count; ++p) support[p] = support[p + 1];
    });
    --count;
    for (int p = position; p < count; ++p) {
      if (FactorRow(p)) continue;
      team_.For(count - p, [&](int m) {  // rounding only: what is left of the support stands
        state_[support[p + m]] = kBlocked;
        x[support[p + m]] = 0;
      });
      count = p;
    }
  }

  // One step of iterative refinement, for gradients that nearly cancel each other.
  MTL_CORE void Refine(double tolerance) {
    const double off =
        Max(team_, count, 0.0, [&](int p) { return std::fabs(gradient_[support[p]]); });
    if (off <= tolerance) return;
    team_.For(count, [&](int p) { trial_[p] = -gradient_[support[p]]; });
    cholesky.Solve(team_, count, trial_);
    team_.For(count, [&](int p) {
      const double refined = x[support[p]] + trial_[p];
      if (refined > 0) x[support[p]] = refined;
    });
  }

  // Moves x to the minimum over the support, dropping what becomes zero on the way.
  MTL_CORE void MoveToMinimum() {
    while (count > 0) {
      team_.For(count, [&](int p) { trial_[p] = -b_[support[p]]; });
      cholesky.Solve(team_, count, trial_);
      const auto share = [&](int p) {
        const double value = x[support[p]];
        return trial_[p] > 0 ? kInfinity : value > 0 ? value / (value - trial_[p]) : 0.0;
      };
      const int leaving = team_.ArgMin(count, share);
      const double step = leaving < 0 ? 1.0 : share(leaving);
      team_.For(count, [&](int p) {
        double& value = x[support[p]];
        value = leaving < 0 ? trial_[p] : value + step * (trial_[p] - value);
        if (value < 0) value = 0;
      });
      if (leaving < 0) return;
      Remove(leaving);
    }
  }

  const Team& team_;
  int n_;
  const Matrix& matrix_;
  const double* b_;
  double* gradient_;
  double* trial_;  // [count] in the order of the support
  int* state_;
};

}  // namespace mtl
