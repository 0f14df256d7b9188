// Attention-guided distillation on the CPU: cuts the work.
#include "kernels/features/attention_distillation.h"

#include "kernels/features/feature_kernels.h"

namespace mtl {
namespace {

template <typename Args, typename Kernel>
void Run(const Args& args, int64_t maps_per_message, const ParallelFor& parallel_for,
         Kernel kernel) {
  const int num_messages = args.first_message[args.num_targets];
  bool is_contiguous = true;
  for (int m = 0; m < num_messages; ++m) {
    is_contiguous = is_contiguous && args.messages[m].gate.stride == args.num_channels &&
                    args.messages[m].value.stride == args.num_channels;
  }
  const int64_t maps = 2 * args.num_targets + maps_per_message * num_messages;
  const bool past_caches =
      args.num_positions * args.num_channels * ItemBytes(args.type) * (maps - args.num_targets) >=
      kPastCachesBytes;
  const int64_t cost_ns = maps * kPieceElements * ItemBytes(args.type) / 10;
  ForEachPiece(args.num_positions, args.num_channels, is_contiguous, cost_ns, parallel_for,
               [&](const Piece& piece) { kernel(args, piece, past_caches); });
}

}  // namespace

void AttentionDistillation(const AttentionDistillationArgs& args, const ParallelFor& parallel_for) {
  Run(args, 2, parallel_for, MTL_SELECT_KERNEL(AttentionDistillationKernel));
}

void AttentionDistillationGrad(const AttentionDistillationGradArgs& args,
                               const ParallelFor& parallel_for) {
  Run(args, 4, parallel_for, MTL_SELECT_KERNEL(AttentionDistillationGradKernel));
}

}  // namespace mtl
