// Detection of the CPU's instruction sets.
#include "kernels/cpu/cpu_dispatch.h"

#include <cstdlib>
#include <string>

namespace mtl {
namespace {

CpuIsa BestCpuIsa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                        __builtin_cpu_supports("f16c");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx2 && has_avx512) return CpuIsa::avx512;
  if (has_avx2) return CpuIsa::avx2;
#endif
  return CpuIsa::baseline;
}

CpuIsa ChosenCpuIsa() {
  const CpuIsa best = BestCpuIsa();
  const char* wanted = std::getenv("MTL_TF_CPU_ISA");
  if (wanted == nullptr) return best;
  for (CpuIsa isa : {CpuIsa::baseline, CpuIsa::avx2, CpuIsa::avx512}) {
    if (std::string(wanted) == CpuIsaName(isa)) return isa < best ? isa : best;
  }
  return best;
}

}  // namespace

CpuIsa SelectedCpuIsa() {
  static const CpuIsa isa = ChosenCpuIsa();
  return isa;
}

const char* CpuIsaName(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::avx512:
      return "avx512";
    case CpuIsa::avx2:
      return "avx2";
    default:
      return "baseline";
  }
}

}  // namespace mtl
