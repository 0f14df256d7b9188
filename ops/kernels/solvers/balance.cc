// The solvers on the CPU: one thread.
#include "kernels/solvers/balance.h"

#include "kernels/solvers/balance_core.h"

namespace mtl {

void Balance(const BalanceArgs& args, double* workspace) {
  BalanceCore(SerialTeam{}, args, workspace);
}

}  // namespace mtl
