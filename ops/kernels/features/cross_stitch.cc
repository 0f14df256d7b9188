// Cross-stitch on the CPU: cuts the work and adds the pieces' parts of the weights' gradient.
#include "kernels/features/cross_stitch.h"

#include "kernels/features/feature_kernels.h"

namespace mtl {
namespace {

template <typename Args>
bool IsPastCaches(const Args& args) {
  return args.num_tasks * args.num_positions * args.num_channels * ItemBytes(args.type) >=
         kPastCachesBytes;
}

}  // namespace

void CrossStitch(const CrossStitchArgs& args, const ParallelFor& parallel_for) {
  const bool past_caches = IsPastCaches(args);
  const int64_t cost_ns = 2 * args.num_tasks * kPieceElements * ItemBytes(args.type) / 10;
  ForEachPiece(
      args.num_positions, args.num_channels, false, cost_ns, parallel_for,
      [&](const Piece& piece) { MTL_SELECT_KERNEL(CrossStitchKernel)(args, piece, past_caches); });
}

void CrossStitchGrad(const CrossStitchGradArgs& args, const ParallelFor& parallel_for) {
  const bool past_caches = IsPastCaches(args);
  const int64_t num_weights = args.num_tasks * args.num_tasks * args.num_channels;
  // The cut depends on the shape alone, so that the sums do not depend on the threads. A share
  // holds many positions for every weight, at most kMostShares of them.
  constexpr int64_t kMostShares = 64;
  const int64_t rows =
      std::max<int64_t>({1, kPieceElements / std::max<int64_t>(args.num_channels, 1),
                         (args.num_positions + kMostShares - 1) / kMostShares});
  const int64_t shares = (args.num_positions + rows - 1) / rows;
  std::vector<float> sums(shares * num_weights, 0.0f);
  const int64_t cost_ns = 3 * args.num_tasks * rows * args.num_channels * ItemBytes(args.type) / 10;
  parallel_for(shares, cost_ns, [&](int64_t i) {
    const Piece piece{i * rows, std::min(rows, args.num_positions - i * rows), 0,
                      args.num_channels};
    MTL_SELECT_KERNEL(CrossStitchGradKernel)
    (args, piece, sums.data() + i * num_weights, past_caches);
  });
  for (int64_t w = 0; w < num_weights; ++w) {
    double sum = 0;
    for (int64_t i = 0; i < shares; ++i) sum += sums[i * num_weights + w];
    args.weight_gradients[w] = static_cast<float>(sum);
  }
}

}  // namespace mtl
