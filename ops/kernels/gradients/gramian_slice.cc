// One slice of the Gramian, compiled once per instruction set (cpu_dispatch.h).
//
// Up to kFullRows tasks, every pair has its accumulator in a register and each element is read
// once. With more, tasks are taken in groups of four over blocks that stay in the first-level
// cache: the triangle inside a group, and the 4x4 tile of every two groups.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/slice_kernels.h"

namespace mtl {
namespace MTL_ISA {
namespace {

constexpr int kChain = 32;                       // float32 additions before float64 takes over
constexpr int kFullRows = kLanes == 16 ? 6 : 4;  // 21 accumulators of 32 registers, 10 of 16
constexpr int kGroup = 4;
constexpr int kAhead = 6 * 1024;  // bytes: the processor's own prefetching ends at a page of memory
constexpr int64_t kBlock = kChain * kLanes;

// The pairs of one tile: rows a of `left` with rows b of `right`. A triangle has left == right and
// only b <= a.
template <int A, int B, bool kIsTriangle>
struct Pairs {
  static constexpr int kCount = kIsTriangle ? A * (A + 1) / 2 : A * B;
  template <int Pair>
  static constexpr int Left() {
    if (!kIsTriangle) return Pair / B;
    int a = 0;
    while ((a + 1) * (a + 2) / 2 <= Pair) ++a;
    return a;
  }
  template <int Pair>
  static constexpr int Right() {
    return kIsTriangle ? Pair - Left<Pair>() * (Left<Pair>() + 1) / 2 : Pair % B;
  }
};

inline Doubles Widened(Floats lanes) { return __builtin_convertvector(lanes, Doubles); }

// sums[a * stride + b] += <left[a], right[b]> over elements [begin, begin + count).
template <typename Type, int A, int B, bool kIsTriangle>
void AddTile(const void* const* left, const void* const* right, int64_t begin, int64_t count,
             double* sums, int stride) {
  using P = Pairs<A, B, kIsTriangle>;
  Doubles totals[P::kCount] = {};
  const int64_t end = begin + count;
  for (int64_t e = begin; e < end;) {
    Floats chain[P::kCount] = {};
    const int64_t whole = (end - e < kBlock ? end - e : kBlock) / kLanes * kLanes;
    for (const int64_t stop = e + whole; e < stop; e += kLanes) {
      Floats rows_a[A], rows_b[B];
      Unroll<A>([&](auto a) {
        if constexpr (kIsTriangle) {  // once for every row
          __builtin_prefetch(static_cast<const char*>(left[a.value]) +
                             e * sizeof(typename Type::Element) + kAhead);
        }
        rows_a[a.value] = Type::Load(left[a.value], e);
      });
      if constexpr (!kIsTriangle) {
        Unroll<B>([&](auto b) { rows_b[b.value] = Type::Load(right[b.value], e); });
      }
      Unroll<P::kCount>([&](auto pair) {
        constexpr int a = P::template Left<pair.value>();
        constexpr int b = P::template Right<pair.value>();
        chain[pair.value] += rows_a[a] * (kIsTriangle ? rows_a[b] : rows_b[b]);
      });
    }
    if (end - e < kLanes && end > e) {
      Unroll<P::kCount>([&](auto pair) {
        chain[pair.value] +=
            LoadPart<Type>(left[P::template Left<pair.value>()], e, end - e) *
            LoadPart<Type>((kIsTriangle ? left : right)[P::template Right<pair.value>()], e,
                           end - e);
      });
      e = end;
    }
    Unroll<P::kCount>([&](auto pair) { totals[pair.value] += Widened(chain[pair.value]); });
  }
  Unroll<P::kCount>([&](auto pair) {
    double sum = 0;
    for (int lane = 0; lane < kLanes; ++lane) sum += totals[pair.value][lane];
    sums[P::template Left<pair.value>() * stride + P::template Right<pair.value>()] += sum;
  });
}

template <typename Type>
void AddTriangle(const GramianSlice& s, const void* const* rows, int num_rows, int64_t begin,
                 int64_t count, double* sums) {
  switch (num_rows) {
    case 1:
      return AddTile<Type, 1, 1, true>(rows, rows, begin, count, sums, s.num_rows);
    case 2:
      return AddTile<Type, 2, 2, true>(rows, rows, begin, count, sums, s.num_rows);
    case 3:
      return AddTile<Type, 3, 3, true>(rows, rows, begin, count, sums, s.num_rows);
    case 4:
      return AddTile<Type, 4, 4, true>(rows, rows, begin, count, sums, s.num_rows);
    case 5:
      return AddTile<Type, 5, 5, true>(rows, rows, begin, count, sums, s.num_rows);
    default:
      return AddTile<Type, 6, 6, true>(rows, rows, begin, count, sums, s.num_rows);
  }
}

// Rows of one group (`height` of them) with the four rows of an earlier group.
template <typename Type>
void AddGroups(const GramianSlice& s, const void* const* left, int height, const void* const* right,
               int64_t begin, int64_t count, double* sums) {
  switch (height) {
    case 1:
      return AddTile<Type, 1, kGroup, false>(left, right, begin, count, sums, s.num_rows);
    case 2:
      return AddTile<Type, 2, kGroup, false>(left, right, begin, count, sums, s.num_rows);
    case 3:
      return AddTile<Type, 3, kGroup, false>(left, right, begin, count, sums, s.num_rows);
    default:
      return AddTile<Type, kGroup, kGroup, false>(left, right, begin, count, sums, s.num_rows);
  }
}

template <typename Type>
void AddSlice(const GramianSlice& s) {
  if (s.num_rows <= kFullRows)
    return AddTriangle<Type>(s, s.rows, s.num_rows, s.begin, s.count, s.sums);
  for (int64_t done = 0; done < s.count; done += kBlock) {
    const int64_t begin = s.begin + done;
    const int64_t count = s.count - done < kBlock ? s.count - done : kBlock;
    for (int i = 0; i < s.num_rows; i += kGroup) {
      const int height = s.num_rows - i < kGroup ? s.num_rows - i : kGroup;
      double* sums = s.sums + i * s.num_rows;
      for (int j = 0; j < i; j += kGroup) {
        AddGroups<Type>(s, s.rows + i, height, s.rows + j, begin, count, sums + j);
      }
      AddTriangle<Type>(s, s.rows + i, height, begin, count, sums + i);
    }
  }
}

}  // namespace

void GramianSliceKernel(const GramianSlice& slice) {
  WithType(slice.type, [&](auto t) { AddSlice<decltype(t)>(slice); });
}

}  // namespace MTL_ISA
}  // namespace mtl
