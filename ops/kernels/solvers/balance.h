// From the Gramian of K task gradients to the K weights of their sum: the solvers of all
// weightings.
//
// A solver is one core (solvers/*.h) that a CPU thread runs alone and a CUDA warp runs together.
// All of them work in float64 on the cosines between the gradients, so a common scale of the
// gradients, from 1e-12 to 1e12, changes nothing but what the method itself says. Tasks whose
// gradient is zero are left out: their weight is 0 and the others are solved as if they were alone.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"

namespace mtl {

enum class BalanceMethod : int32_t {
  mgda,         // argmin |sum a_i g_i| on the simplex                    Sener & Koltun 2018
  upgrad,       // sum_i argmin v'Gv, v >= p_i e_i                        Quinton & Rey 2024
  dualproj,     // argmin v'Gv, v >= p                                    Lopez-Paz & Ranzato 2017
  pcgrad,       // projections on the normal planes of conflicting tasks  Yu et al. 2020
  gradvac,      // moves towards target cosines                           Wang et al. 2021
  cagrad,       // max_d min_i <g_i, d>, |d - g_0| <= c |g_0|             Liu et al. 2021
  nash_mtl,     // G w = 1 / w                                            Navon et al. 2022
  fairgrad,     // G w = w^(-1 / alpha)                                   Ban & Ji 2024
  imtl_g,       // equal projections on the unit gradients, sum 1         Liu et al. 2021
  aligned_mtl,  // principal components scaled to one length              Senushkin et al. 2023
};

enum class AlignedScale : int32_t { min, median, mean };

enum class BalanceStatus : int32_t {
  converged = 0,
  fallback = 1,       // the method has no solution for this Gramian: what it returns says its core
  not_converged = 2,  // the optimality conditions are off by more than kResidualBound
  not_finite = 3,     // the Gramian has a NaN or an infinity: the weights are NaN
};

constexpr double kResidualBound = 1e-8;
constexpr double kMaxParameter = 1e6;
constexpr double kMinAlpha = 0.05;
constexpr double kMaxAlpha = 100;

struct BalanceArgs {
  int num_tasks;          // K, 1 to kMaxTasks
  const double* gramian;  // [K, K] symmetric
  BalanceMethod method;
  const double*
      parameter;       // [1] CAGrad: c >= 0; FairGrad: alpha 0.05 to 100; GradVac: beta in [0, 1];
                       //   null for the others
  AlignedScale scale;  // AlignedMTL: which eigenvalue the others are scaled to
  const double* preference;  // UPGrad, DualProj, AlignedMTL: p [K]; null = 1 / (number of tasks)
  const int32_t* order;      // PCGrad, GradVac: [K, K-1], row i = the other tasks in the order in
                             //   which i meets them; null = ascending
  const double* targets;     // GradVac: [K, K] target cosines; null = zero
  double* weights;           // [K], overwritten
  double* new_targets;       // GradVac: [K, K], overwritten; may be null; may be `targets`
  double* residual;          // [1], overwritten: how far the optimality conditions are off
  int32_t* status;           // [1], overwritten: a BalanceStatus
};

// Doubles that a call needs as `workspace`.
inline int64_t BalanceWorkspaceSize(int64_t num_tasks) {
  return 5 * num_tasks * num_tasks + 16 * num_tasks;
}

void Balance(const BalanceArgs& args, double* workspace);

#if defined(MTL_WITH_CUDA)
// All pointers are device memory.
CudaStatus BalanceCuda(const BalanceArgs& args, double* workspace, CudaStream stream);

// Writes a number of the host into `parameter`. It travels with the launch: a CUDA graph keeps it.
CudaStatus SetParameterCuda(double value, double* parameter, CudaStream stream);
#endif

}  // namespace mtl
