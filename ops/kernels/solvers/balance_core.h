// One call of `balance`, as a CPU thread or a CUDA warp runs it: picks the solver, keeps the
// report.
#pragma once

#include "kernels/solvers/balance.h"
#include "kernels/solvers/cagrad.h"
#include "kernels/solvers/dual_cone.h"
#include "kernels/solvers/fair_gains.h"
#include "kernels/solvers/min_norm.h"
#include "kernels/solvers/spectral.h"
#include "kernels/solvers/surgery.h"

namespace mtl {

// Residual of FairGrad's equations, 1 at worst, from which on there is no solution: rounding alone
// leaves less even for gradients that are opposite to one part in a million.
constexpr double kNoSolution = 1e-3;

template <typename Team>
MTL_CORE double SolvePresent(const Team& team, const BalanceArgs& args, const UnitGramian& unit,
                             double* weights, bool* has_solution, Arena arena) {
  switch (args.method) {
    case BalanceMethod::mgda:
      return MinNorm(team, unit, weights, arena);
    case BalanceMethod::upgrad:
      return DualConeProjection(team, unit, true, args.preference, weights, arena);
    case BalanceMethod::dualproj:
      return DualConeProjection(team, unit, false, args.preference, weights, arena);
    case BalanceMethod::cagrad:
      return CAGrad(team, unit, *args.parameter, weights, has_solution, arena);
    case BalanceMethod::nash_mtl:
    case BalanceMethod::fairgrad: {
      const double alpha = args.method == BalanceMethod::nash_mtl ? 1.0 : *args.parameter;
      const double residual = FairGains(team, unit, alpha, weights, arena);
      if (residual <= kNoSolution) return residual;
      // No bargain: at a Pareto stationary point, where the shortest combination is (near) zero.
      *has_solution = false;
      return MinNorm(team, unit, weights, arena);
    }
    case BalanceMethod::imtl_g:
      return EqualProjections(team, unit, weights, has_solution, arena);
    case BalanceMethod::aligned_mtl:
      return AlignedComponents(team, unit, args.scale, args.preference, weights, arena);
    case BalanceMethod::pcgrad:
    case BalanceMethod::gradvac: {
      const bool to_targets = args.method == BalanceMethod::gradvac;
      Surgery(team, unit, args.num_tasks, args.order, to_targets, args.targets,
              to_targets ? *args.parameter : 0.0, to_targets ? args.new_targets : nullptr, weights,
              arena);
      return 0;
    }
  }
  return 0;
}

template <typename Team>
MTL_CORE void BalanceCore(const Team& team, const BalanceArgs& args, double* workspace) {
  const int num_tasks = args.num_tasks;
  const int entries = num_tasks * num_tasks;
  const bool is_finite =
      team.Sum(entries, [&](int e) { return std::isfinite(args.gramian[e]) ? 0.0 : 1.0; }) == 0;
  team.For(num_tasks, [&](int i) { args.weights[i] = is_finite ? 0.0 : kInfinity - kInfinity; });
  if (args.new_targets != nullptr && args.new_targets != args.targets) {
    team.For(entries,
             [&](int e) { args.new_targets[e] = args.targets == nullptr ? 0.0 : args.targets[e]; });
  }
  double residual = 0;
  BalanceStatus status = BalanceStatus::not_finite;
  if (is_finite) {
    status = BalanceStatus::converged;
    Arena arena{workspace};
    const UnitGramian unit = MakeUnitGramian(team, args.gramian, num_tasks, arena);
    if (unit.n > 0) {
      double* weights = arena.Doubles(num_tasks);
      bool has_solution = true;
      residual = SolvePresent(team, args, unit, weights, &has_solution, arena);
      if (!(residual <= kResidualBound)) status = BalanceStatus::not_converged;
      if (!has_solution) status = BalanceStatus::fallback;
      team.For(unit.n, [&](int i) { args.weights[unit.task[i]] = weights[i]; });
    }
  }
  team.For(1, [&](int) {
    *args.residual = residual;
    *args.status = static_cast<int32_t>(status);
  });
}

}  // namespace mtl
