// One slice of the weighted sum, compiled once per instruction set (cpu_dispatch.h).
//
// Tasks are added in groups of up to eight; more than one group adds through a block of float32
// that stays in the first-level cache, so memory is read and written once.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/slice_kernels.h"

namespace mtl {
namespace MTL_ISA {
namespace {

constexpr int kGroup = 8;
constexpr int64_t kBlock = 1024;

// From `base` (null: zero) and `Rows` rows to `Target`, elements [begin, begin + count); base and
// target are indexed from `begin`.
template <typename Type, typename Target, int Rows, bool kStream>
void AddRows(const void* const* rows, const float* weights, const float* base, int64_t begin,
             int64_t count, void* target) {
  Floats factors[Rows > 0 ? Rows : 1];
  Unroll<Rows>([&](auto k) { factors[k.value] = Broadcast(weights[k.value]); });
  int64_t e = 0;
  for (; e + kLanes <= count; e += kLanes) {
    Floats sum = base == nullptr ? Floats{} : Float32::Load(base, e);
    Unroll<Rows>([&](auto k) { sum += factors[k.value] * Type::Load(rows[k.value], begin + e); });
    kStream ? Target::Stream(target, e, sum) : Target::Store(target, e, sum);
  }
  if (kStream) FinishStream();
  if (e == count) return;
  Floats sum = base == nullptr ? Floats{} : LoadPart<Float32>(base, e, count - e);
  Unroll<Rows>([&](auto k) {
    sum += factors[k.value] * LoadPart<Type>(rows[k.value], begin + e, count - e);
  });
  StorePart<Target>(target, e, count - e, sum);
}

template <typename Type, typename Target, bool kStream>
void AddGroup(const void* const* rows, const float* weights, int num_rows, const float* base,
              int64_t begin, int64_t count, void* target) {
  switch (num_rows) {
#define MTL_CASE(n) \
  case n:           \
    return AddRows<Type, Target, n, kStream>(rows, weights, base, begin, count, target);
    MTL_CASE(0)
    MTL_CASE(1) MTL_CASE(2) MTL_CASE(3) MTL_CASE(4) MTL_CASE(5) MTL_CASE(6) MTL_CASE(7) MTL_CASE(8)
#undef MTL_CASE
  }
}

template <typename Type>
void Sum(const WeightedSumSlice& s) {
  auto* sum = static_cast<typename Type::Element*>(s.sum) + s.begin;
  if (s.num_rows <= kGroup) {
    const bool is_aligned = reinterpret_cast<uintptr_t>(sum) % (kLanes * sizeof(*sum)) == 0;
    if (Type::kStreams && s.past_caches && is_aligned) {
      return AddGroup<Type, Type, true>(s.rows, s.weights, s.num_rows, nullptr, s.begin, s.count,
                                        sum);
    }
    return AddGroup<Type, Type, false>(s.rows, s.weights, s.num_rows, nullptr, s.begin, s.count,
                                       sum);
  }
  alignas(64) float block[kBlock];
  for (int64_t done = 0; done < s.count; done += kBlock) {
    const int64_t count = s.count - done < kBlock ? s.count - done : kBlock;
    int k = 0;
    for (; k + kGroup < s.num_rows; k += kGroup) {
      AddGroup<Type, Float32, false>(s.rows + k, s.weights + k, kGroup, k == 0 ? nullptr : block,
                                     s.begin + done, count, block);
    }
    AddGroup<Type, Type, false>(s.rows + k, s.weights + k, s.num_rows - k, block, s.begin + done,
                                count, sum + done);
  }
}

}  // namespace

void WeightedSumSliceKernel(const WeightedSumSlice& slice) {
  WithType(slice.type, [&](auto t) { Sum<decltype(t)>(slice); });
}

}  // namespace MTL_ISA
}  // namespace mtl
