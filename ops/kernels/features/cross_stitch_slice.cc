// One piece of cross-stitch, compiled once per instruction set (cpu_dispatch.h).
#include "kernels/features/feature_kernels.h"
#include "kernels/features/feature_vectors.h"

namespace mtl {
namespace MTL_ISA {
namespace {

template <typename Type>
using ElementOf = typename Type::Element;

// K is known when compiled, so that the features of a vector of channels stay in registers.
template <typename Type, typename Access, int K>
void Stitch(const CrossStitchArgs& args, const Piece& piece) {
  const int64_t channels = args.num_channels;
  ForEachVector<Type, Access>(piece, [&](auto access, int64_t p, int64_t c, int64_t n) {
    const int64_t row = p * channels;
    Floats x[K];
    Unroll<K>([&](auto j) {
      x[j.value] =
          access.Load(static_cast<const ElementOf<Type>*>(args.features[j.value]) + row, c, n);
    });
    Unroll<K>([&](auto i) {
      Floats sum = {};
      Unroll<K>([&](auto j) {
        sum +=
            access.LoadFloats(args.weights + (i.value * K + j.value) * channels, c, n) * x[j.value];
      });
      access.Store(static_cast<ElementOf<Type>*>(args.results[i.value]) + row, c, n, sum);
    });
  });
}

template <typename Type, typename Access, int K>
void StitchGrad(const CrossStitchGradArgs& args, const Piece& piece, float* sums) {
  const int64_t channels = args.num_channels;
  ForEachVector<Type, Access>(piece, [&](auto access, int64_t p, int64_t c, int64_t n) {
    const int64_t row = p * channels;
    Floats u[K];
    Unroll<K>([&](auto i) {
      u[i.value] =
          access.Load(static_cast<const ElementOf<Type>*>(args.upstream[i.value]) + row, c, n);
    });
    Unroll<K>([&](auto j) {
      const Floats x =
          access.Load(static_cast<const ElementOf<Type>*>(args.features[j.value]) + row, c, n);
      Floats gradient = {};
      Unroll<K>([&](auto i) {
        const int64_t pair = (i.value * K + j.value) * channels;
        gradient += access.LoadFloats(args.weights + pair, c, n) * u[i.value];
        const Floats sum = access.LoadFloats(sums + pair, c, n) + u[i.value] * x;
        access.StoreFloats(sums + pair, c, n, sum);
      });
      access.Store(static_cast<ElementOf<Type>*>(args.gradients[j.value]) + row, c, n, gradient);
    });
  });
}

template <typename Type, int K>
void ForwardOf(const CrossStitchArgs& args, const Piece& piece, bool past_caches) {
  if (past_caches && CanStream<Type>(args.results, K, args.num_channels, piece)) {
    Stitch<Type, Streamed<Type>, K>(args, piece);
    return FinishStream();
  }
  Stitch<Type, Whole<Type>, K>(args, piece);
}

template <typename Type, int K>
void BackwardOf(const CrossStitchGradArgs& args, const Piece& piece, float* sums,
                bool past_caches) {
  if (past_caches && CanStream<Type>(args.gradients, K, args.num_channels, piece)) {
    StitchGrad<Type, Streamed<Type>, K>(args, piece, sums);
    return FinishStream();
  }
  StitchGrad<Type, Whole<Type>, K>(args, piece, sums);
}

#define MTL_FOR_EACH_K(F) F(1) F(2) F(3) F(4) F(5) F(6)
static_assert(kMaxStitched == 6, "a case for each number of maps");

template <typename Type>
void Forward(const CrossStitchArgs& args, const Piece& piece, bool past_caches) {
  switch (args.num_tasks) {
#define MTL_CASE(K) \
  case K:           \
    return ForwardOf<Type, K>(args, piece, past_caches);
    MTL_FOR_EACH_K(MTL_CASE)
#undef MTL_CASE
  }
}

template <typename Type>
void Backward(const CrossStitchGradArgs& args, const Piece& piece, float* sums, bool past_caches) {
  switch (args.num_tasks) {
#define MTL_CASE(K) \
  case K:           \
    return BackwardOf<Type, K>(args, piece, sums, past_caches);
    MTL_FOR_EACH_K(MTL_CASE)
#undef MTL_CASE
  }
}

}  // namespace

void CrossStitchKernel(const CrossStitchArgs& args, const Piece& piece, bool past_caches) {
  WithType(args.type, [&](auto t) { Forward<decltype(t)>(args, piece, past_caches); });
}

void CrossStitchGradKernel(const CrossStitchGradArgs& args, const Piece& piece, float* sums,
                           bool past_caches) {
  WithType(args.type, [&](auto t) { Backward<decltype(t)>(args, piece, sums, past_caches); });
}

}  // namespace MTL_ISA
}  // namespace mtl
