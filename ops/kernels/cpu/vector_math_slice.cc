// exp and log of many numbers, for tests of vector_math.h; compiled once per instruction set.
#include "kernels/cpu/vector_math.h"
#include "kernels/features/feature_kernels.h"

namespace mtl {
namespace MTL_ISA {
namespace {

template <typename Function>
void Apply(const float* x, int64_t count, float* y, const Function& function) {
  int64_t e = 0;
  for (; e + kLanes <= count; e += kLanes) Float32::Store(y, e, function(Float32::Load(x, e)));
  if (e == count) return;
  StorePart<Float32>(y, e, count - e, function(LoadPart<Float32>(x, e, count - e)));
}

}  // namespace

void VectorExp(const float* x, int64_t count, float* y) {
  Apply(x, count, y, [](Floats v) { return Exp(v); });
}

void VectorLog(const float* x, int64_t count, float* y) {
  Apply(x, count, y, [](Floats v) { return Log(v); });
}

}  // namespace MTL_ISA
}  // namespace mtl
