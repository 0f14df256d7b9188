// The solvers as a warp runs them, on a machine without a GPU: threads with barriers take the place
// of lanes. Under ThreadSanitizer (`make sanitize`) a missing synchronisation in a solver is an
// error; without, a result that differs from the serial one is.
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "barrier.h"
#include "kernels/balance_names.h"
#include "kernels/solvers/balance_core.h"

namespace {

constexpr int kLanes = 4;

struct Shared {
  Barrier barrier{kLanes};
  double value[kLanes];
  int index[kLanes];
};

// Shuffles synchronise only where values are exchanged, as __shfl_xor_sync does.
struct ThreadTeam {
  int lane;
  Shared* shared;

  template <typename Function>
  void For(int n, const Function& f) const {
    shared->barrier.Wait();
    for (int i = lane; i < n; i += kLanes) f(i);
    shared->barrier.Wait();
  }

  template <typename Function>
  double Sum(int n, const Function& f) const {
    double own = 0;
    for (int i = lane; i < n; i += kLanes) own += f(i);
    shared->value[lane] = own;
    shared->barrier.Wait();
    double sum = 0;
    for (int l = 0; l < kLanes; ++l) sum += shared->value[l];
    shared->barrier.Wait();
    return sum;
  }

  template <typename Function>
  int ArgMin(int n, const Function& f) const {
    double least = mtl::kInfinity;
    int best = -1;
    for (int i = lane; i < n; i += kLanes) {
      const double value = f(i);
      if (value < least) {
        least = value;
        best = i;
      }
    }
    shared->value[lane] = least;
    shared->index[lane] = best;
    shared->barrier.Wait();
    for (int l = 0; l < kLanes; ++l) {
      const int index = shared->index[l];
      const double value = shared->value[l];
      if (index >= 0 && (best < 0 || value < least || (value == least && index < best))) {
        least = value;
        best = index;
      }
    }
    shared->barrier.Wait();
    return best;
  }
};

struct Call {
  explicit Call(int num_tasks)
      : weights(num_tasks),
        targets(num_tasks * num_tasks),
        workspace(mtl::BalanceWorkspaceSize(num_tasks)) {}
  std::vector<double> weights, targets, workspace;
  double residual = 0;
  int32_t status = 0;

  mtl::BalanceArgs Args(mtl::BalanceArgs args) {
    args.weights = weights.data();
    args.new_targets = targets.data();
    args.residual = &residual;
    args.status = &status;
    return args;
  }
};

}  // namespace

int main() {
  std::mt19937_64 random(0);
  std::normal_distribution<double> normal;
  int calls = 0, wrong = 0;
  for (int num_tasks : {1, 2, 3, 5, 8, 13}) {
    for (int round = 0; round < 3; ++round) {
      const int rank = round == 2 ? (num_tasks + 1) / 2 : 3 * num_tasks;
      std::vector<double> jacobian(num_tasks * rank), gramian(num_tasks * num_tasks, 0.0);
      for (double& value : jacobian) value = normal(random);
      if (round == 1 && num_tasks > 2) std::fill_n(jacobian.begin(), rank, 0.0);
      for (int e = 0; e < num_tasks * num_tasks; ++e) {
        for (int p = 0; p < rank; ++p) {
          gramian[e] += jacobian[e / num_tasks * rank + p] * jacobian[e % num_tasks * rank + p];
        }
      }
      for (const mtl::BalanceMethodName& entry : mtl::kBalanceMethods) {
        mtl::BalanceArgs args{};
        const double parameter = 0.7;
        args.num_tasks = num_tasks;
        args.gramian = gramian.data();
        args.method = entry.method;
        args.parameter = &parameter;
        Call alone(num_tasks), together(num_tasks);
        mtl::BalanceCore(mtl::SerialTeam{}, alone.Args(args), alone.workspace.data());
        Shared shared;
        std::vector<std::thread> lanes;
        for (int lane = 0; lane < kLanes; ++lane) {
          lanes.emplace_back([&, lane] {
            mtl::BalanceCore(ThreadTeam{lane, &shared}, together.Args(args),
                             together.workspace.data());
          });
        }
        for (std::thread& lane : lanes) lane.join();
        bool is_right = alone.status == together.status;
        for (int k = 0; k < num_tasks; ++k) {
          const double off = std::fabs(alone.weights[k] - together.weights[k]);
          is_right = is_right && off <= 1e-6 * (1 + std::fabs(alone.weights[k]));
        }
        ++calls;
        if (is_right) continue;
        ++wrong;
        std::printf("%s, %d tasks, round %d: a team and one thread disagree (status %d, %d)\n",
                    entry.name, num_tasks, round, together.status, alone.status);
      }
    }
  }
  std::printf("%d calls, %d wrong\n", calls, wrong);
  return wrong == 0 ? 0 : 1;
}
