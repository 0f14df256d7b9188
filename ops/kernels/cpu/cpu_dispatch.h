// Chooses, once per process, the best instruction set that both the build and the CPU have.
//
// A `*_slice.cc` source is compiled once per instruction set with MTL_ISA set to its name, and
// defines its function inside `namespace mtl::MTL_ISA`. The caller picks one of them:
//
//   MTL_DECLARE_KERNEL(void, GramianSliceKernel, (const GramianSlice&))
//   ...
//   MTL_SELECT_KERNEL(GramianSliceKernel)(slice);
//
// MTL_TF_CPU_ISA=baseline|avx2|avx512 lowers the choice (never above what the CPU has), so that
// tests can run every path.
#pragma once

namespace mtl {

enum class CpuIsa { baseline = 0, avx2 = 1, avx512 = 2 };

CpuIsa SelectedCpuIsa();
const char* CpuIsaName(CpuIsa isa);

}  // namespace mtl

#if defined(__x86_64__)
#define MTL_DECLARE_KERNEL(Return, Name, Parameters) \
  namespace baseline {                               \
  Return Name Parameters;                            \
  }                                                  \
  namespace avx2 {                                   \
  Return Name Parameters;                            \
  }                                                  \
  namespace avx512 {                                 \
  Return Name Parameters;                            \
  }
#define MTL_SELECT_KERNEL(Name)                                    \
  (::mtl::SelectedCpuIsa() == ::mtl::CpuIsa::avx512 ? avx512::Name \
   : ::mtl::SelectedCpuIsa() == ::mtl::CpuIsa::avx2 ? avx2::Name   \
                                                    : baseline::Name)
#else
#define MTL_DECLARE_KERNEL(Return, Name, Parameters) \
  namespace baseline {                               \
  Return Name Parameters;                            \
  }
#define MTL_SELECT_KERNEL(Name) (baseline::Name)
#endif
