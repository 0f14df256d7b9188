// The inner loops of affinity diffusion, compiled once per instruction set (cpu_dispatch.h).
#pragma once

#include "kernels/affinity_diffusion.h"
#include "kernels/cpu_dispatch.h"

namespace mtl {

constexpr int64_t kQueriesAtOnce = 64;

inline int64_t PaddedPositions(int64_t n) { return (n + 31) / 32 * 32; }

// The keys and values of one image in panels (panels.h), for all its queries.
struct DiffusionPanels {
  float* keys_transposed;    // [S, N / 32, D, 32]
  float* keys;               // [S, D / 32, N, 32]; for the gradient
  float* values;             // [C / 32, N, 32]; for the results
  float* values_transposed;  // [N / 32, C, 32]; for the gradient
};

// What one thread works in: rows for Q = kQueriesAtOnce queries.
struct DiffusionRows {
  float* scores;    // [Q, padded N]
  float* total;     // [Q, padded N]: the mixed affinities
  float* slopes;    // [Q, padded N]: their gradient; for the gradient
  float* queries;   // [Q, padded D]
  float* products;  // [Q, padded D]; for the gradient
  float* upstream;  // [Q, padded C], also the results
  float* panels;    // [(padded D + padded C) / 32, Q, 32]; for the gradient
};

// What the queries of one share of an image add to; float32, [padded N, padded width].
struct DiffusionSums {
  float* key_gradients;    // [S, padded N, padded D]
  float* value_gradients;  // [padded N, padded C]
  double* mix_gradients;   // [S]
};

// Makes panels of one image, part `part` of `parts`: a source's keys, or, at last, the values.
MTL_DECLARE_KERNEL(void, MakeDiffusionPanels,
                   (const DiffusionShape&, const void* const* keys, const void* values,
                    int64_t image, int part, const DiffusionPanels&, float* rows))

// Results of queries [begin, end) of an image.
MTL_DECLARE_KERNEL(void, DiffuseKernel,
                   (const AffinityDiffusionArgs&, int64_t image, int64_t begin, int64_t end,
                    const DiffusionPanels&, const DiffusionRows&))

// Gradients of queries [begin, end) of an image, and what they add to the others.
MTL_DECLARE_KERNEL(void, DiffuseGradKernel,
                   (const AffinityDiffusionGradArgs&, int64_t image, int64_t begin, int64_t end,
                    const DiffusionPanels&, const DiffusionRows&, const DiffusionSums&))

// Writes positions [0, n) of float32 rows as elements of `type`.
MTL_DECLARE_KERNEL(void, StoreRows,
                   (ElementType type, const float* rows, int64_t stride, int64_t n, int64_t width,
                    void* to))

}  // namespace mtl
