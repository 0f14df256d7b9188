// The inner loops of affinity diffusion, compiled once per instruction set (cpu_dispatch.h).
//
// Queries are worked on a group at a time, with one share of the keys after another: for the
// results all by one thread, for the gradient shares in parallel. Two passes over the keys make a
// softmax: the first leaves each share's part of what belongs to a whole row.
#pragma once

#include "kernels/cpu/cpu_dispatch.h"
#include "kernels/features/affinity/affinity_diffusion.h"

namespace mtl {

constexpr int64_t kQueryPanel = 64;  // kPanel of products.h
constexpr int64_t kGroupPanels = 2;
constexpr int64_t kQueriesAtOnce = kGroupPanels * kQueryPanel;
constexpr int64_t kMaxKeyShares = 8;

// How an image is cut and padded. It depends on the shape alone, and so do the results.
struct DiffusionSizes {
  int64_t rows;          // keys of a share, even
  int64_t shares;        // of keys
  int64_t keys;          // N, padded to whole shares
  int64_t query_panels;  // D / 64, rounded up
  int64_t value_panels;  // C / 64, rounded up

  explicit DiffusionSizes(const DiffusionShape& shape);
};

// What there is of one image, float32 in panels (products.h) of N keys or G = kQueriesAtOnce
// queries; sources, shares and panels are the outer dimensions.
struct DiffusionWork {
  // All positions.
  float* keys;    // [S, D / 64] panels of keys
  float* values;  // [C / 64] panels of keys
  // The group.
  float* queries;             // [S, D / 64] panels of queries
  float* queries_transposed;  // [S, G / 64, D]
  float* affinities;          // [S, G / 64] panels of keys: exp(score - shift), then their use
  float* row_sums;            // [shares, 2, S, G]: what the first pass finds out about rows
  float* results;             // [shares] panels of queries: [C / 64], or [S, D / 64]
  // For the gradient.
  float* upstream;             // [C / 64] panels of queries
  float* upstream_transposed;  // [G / 64, C]
  float* slopes;               // [G / 64] panels of keys: the gradient of the mixed affinities
  float* key_gradients;        // [S, D / 64] panels of keys
  float* value_gradients;      // [C / 64] panels of keys
  double* mix_gradients;       // [S]
};

// `count` queries of an image.
struct DiffusionGroup {
  int64_t image, begin, count;

  int64_t panels() const { return (count + kQueryPanel - 1) / kQueryPanel; }
};

// A part is a source, or, at last, what belongs to all of them: values, or the upstream gradient.

// === Both ways ===
MTL_DECLARE_KERNEL(void, LoadKeys,
                   (const DiffusionInputs&, int64_t image, int part, const DiffusionWork&))
MTL_DECLARE_KERNEL(void, LoadQueries,
                   (const DiffusionInputs&, const void* upstream, const DiffusionGroup&, int part,
                    const DiffusionWork&))

// === The results ===
MTL_DECLARE_KERNEL(void, ScoreKeys,
                   (const DiffusionInputs&, const DiffusionGroup&, int64_t share,
                    const DiffusionWork&))
MTL_DECLARE_KERNEL(void, MixValues,
                   (const AffinityDiffusionArgs&, const DiffusionGroup&, int64_t share,
                    const DiffusionWork&))
MTL_DECLARE_KERNEL(void, StoreResults,
                   (const AffinityDiffusionArgs&, const DiffusionGroup&, const DiffusionWork&))

// === The gradient ===
MTL_DECLARE_KERNEL(void, SlopeKeys,
                   (const AffinityDiffusionGradArgs&, const DiffusionGroup&, int64_t share,
                    const DiffusionWork&))
MTL_DECLARE_KERNEL(void, MixGradients,
                   (const AffinityDiffusionGradArgs&, const DiffusionGroup&, int64_t share,
                    const DiffusionWork&))
MTL_DECLARE_KERNEL(void, StoreQueryGradients,
                   (const AffinityDiffusionGradArgs&, const DiffusionGroup&, int part,
                    const DiffusionWork&))
MTL_DECLARE_KERNEL(void, StoreKeyGradients,
                   (const AffinityDiffusionGradArgs&, int64_t image, int part,
                    const DiffusionWork&))

}  // namespace mtl
