// The inner loops of the losses of enlarged predictions, once per instruction set (cpu_dispatch.h).
#pragma once

#include "kernels/cpu/cpu_dispatch.h"
#include "kernels/features/upsampling/upsample_loss.h"

namespace mtl {

// Rows [begin, end) of the targets of one image, whose predictions lie in rows [first, last] of the
// small grid.
struct UpsampleBand {
  int64_t image;
  int64_t begin, end;
  int64_t first, last;
};

// What a thread writes and works in.
struct UpsampleSpace {
  const Between* columns;  // [W]
  float* rows;             // two rows of the small grid, [2, w, padded C], 64-byte aligned
  float* exponentials;     // [padded C], 64-byte aligned
  float* gradient;         // [last - first + 1, w, C], added to
  double* loss;            // added to, times the weights
};

// C, filled up to whole vectors of any instruction set.
inline int64_t PaddedChannels(int64_t channels) { return (channels + 15) / 16 * 16; }

MTL_DECLARE_KERNEL(void, UpsampleCrossEntropyKernel,
                   (const UpsampleCrossEntropyArgs&, const UpsampleBand&, const UpsampleSpace&,
                    float scale))
MTL_DECLARE_KERNEL(void, UpsampleL1Kernel,
                   (const UpsampleL1Args&, const UpsampleBand&, const UpsampleSpace&, float scale))

}  // namespace mtl
