// The inner loops of the ops on feature maps, compiled once per instruction set (cpu_dispatch.h).
#pragma once

#include "kernels/cpu/cpu_dispatch.h"
#include "kernels/features/attention_distillation.h"
#include "kernels/features/cross_stitch.h"

namespace mtl {

MTL_DECLARE_KERNEL(void, AttentionDistillationKernel,
                   (const AttentionDistillationArgs&, const Piece&, bool past_caches))
MTL_DECLARE_KERNEL(void, AttentionDistillationGradKernel,
                   (const AttentionDistillationGradArgs&, const Piece&, bool past_caches))
MTL_DECLARE_KERNEL(void, CrossStitchKernel,
                   (const CrossStitchArgs&, const Piece&, bool past_caches))
MTL_DECLARE_KERNEL(void, CrossStitchGradKernel,
                   (const CrossStitchGradArgs&, const Piece&, float* sums, bool past_caches))
MTL_DECLARE_KERNEL(void, VectorExp, (const float* x, int64_t count, float* y))
MTL_DECLARE_KERNEL(void, VectorLog, (const float* x, int64_t count, float* y))

}  // namespace mtl
