// One slice of GradDrop, compiled once per instruction set (cpu_dispatch.h).
#include "kernels/cpu/simd.h"
#include "kernels/cpu/slice_kernels.h"

namespace mtl {
namespace MTL_ISA {
namespace {

// The direction of kLanes elements; `load(k)` reads those of task k, twice.
template <typename Load>
inline Floats Direction(int num_rows, const float* leak, Floats uniform, const Load& load) {
  Floats sum = {}, magnitude = {};
  for (int k = 0; k < num_rows; ++k) {
    const Floats gradient = load(k);
    sum += gradient;
    magnitude += Abs(gradient);
  }
  const Floats threshold = (uniform + uniform - 1.0f) * magnitude;
  const Ints keep_positive = sum > threshold;
  const Ints keep_negative = sum < threshold;
  Floats direction = {};
  for (int k = 0; k < num_rows; ++k) {
    const Floats gradient = load(k);
    const Ints keep = (keep_positive & (gradient > 0.0f)) | (keep_negative & (gradient < 0.0f));
    const Floats kept =
        reinterpret_cast<Floats>(keep & reinterpret_cast<Ints>(Broadcast(1.0f - leak[k])));
    direction += (leak[k] + kept) * gradient;  // NaN and infinity pass
  }
  return direction;
}

template <typename Type, bool kStream>
void Drop(const GradDropSlice& s) {
  const int64_t end = s.begin + s.count;
  int64_t e = s.begin;
  for (; e + kLanes <= end; e += kLanes) {
    const Floats direction = Direction(s.num_rows, s.leak, Float32::Load(s.uniform, e),
                                       [&](int k) { return Type::Load(s.rows[k], e); });
    kStream ? Type::Stream(s.direction, e, direction) : Type::Store(s.direction, e, direction);
  }
  if (kStream) FinishStream();
  if (e == end) return;
  const Floats direction = Direction(s.num_rows, s.leak, LoadPart<Float32>(s.uniform, e, end - e),
                                     [&](int k) { return LoadPart<Type>(s.rows[k], e, end - e); });
  StorePart<Type>(s.direction, e, end - e, direction);
}

template <typename Type>
void DropSlice(const GradDropSlice& s) {
  const auto address =
      reinterpret_cast<uintptr_t>(static_cast<typename Type::Element*>(s.direction) + s.begin);
  const bool is_aligned = address % (kLanes * sizeof(typename Type::Element)) == 0;
  Type::kStreams&& s.past_caches&& is_aligned ? Drop<Type, true>(s) : Drop<Type, false>(s);
}

}  // namespace

void GradDropSliceKernel(const GradDropSlice& slice) {
  WithType(slice.type, [&](auto t) { DropSlice<decltype(t)>(slice); });
}

}  // namespace MTL_ISA
}  // namespace mtl
