// Where things lie in the work of affinity diffusion, for both ways.
//
// Included only by sources that are compiled once per instruction set (cpu_dispatch.h).
#pragma once

#include "kernels/features/affinity/affinity_kernels.h"
#include "kernels/features/affinity/products.h"

namespace mtl {
namespace MTL_ISA {

constexpr int kPanelVectors = kPanel / kLanes;
constexpr int64_t kGroupPanel = kQueriesAtOnce * kPanel;  // floats of a panel of queries
constexpr int64_t kTile = kPanel * kPanel;

// A source's panel of the group's affinities, from a share's first key on.
inline float* AffinityPanel(const DiffusionWork& work, const DiffusionSizes& sizes, int s,
                            int64_t panel, int64_t share) {
  return work.affinities + ((s * kGroupPanels + panel) * sizes.keys + share * sizes.rows) * kPanel;
}

inline float* SlopePanel(const DiffusionWork& work, const DiffusionSizes& sizes, int64_t panel,
                         int64_t share) {
  return work.slopes + (panel * sizes.keys + share * sizes.rows) * kPanel;
}

// The first of a source's panels of keys, from a share's first key on.
inline float* KeyPanels(float* keys, const DiffusionSizes& sizes, int s, int64_t share) {
  return keys + (s * sizes.query_panels * sizes.keys + share * sizes.rows) * kPanel;
}

inline float* ValuePanels(float* values, const DiffusionSizes& sizes, int64_t share) {
  return values + share * sizes.rows * kPanel;
}

inline float* RowSums(const DiffusionWork& work, const DiffusionShape& shape, int64_t share,
                      int which) {
  return work.row_sums + (share * 2 + which) * shape.num_sources * kQueriesAtOnce;
}

// Keys of a share that exist.
inline int64_t KeysOf(const DiffusionShape& shape, const DiffusionSizes& sizes, int64_t share) {
  const int64_t left = shape.positions - share * sizes.rows;
  return left < sizes.rows ? left : sizes.rows;
}

// The group's scores with a share's keys.
inline void Score(const DiffusionWork& work, const DiffusionSizes& sizes, int s, int64_t panel,
                  int64_t share) {
  const float* queries =
      work.queries_transposed + (s * kGroupPanels + panel) * sizes.query_panels * kTile;
  Product<false>(sizes.rows, KeyPanels(work.keys, sizes, s, share), sizes.keys * kPanel, queries,
                 sizes.query_panels, AffinityPanel(work, sizes, s, panel, share));
}

// row[i] for the vectors of a panel's row.
struct PanelRow {
  Floats at[kPanelVectors];
};

inline PanelRow LoadRow(const float* from) {
  PanelRow row;
  Unroll<kPanelVectors>([&](auto v) { row.at[v.value] = Float32::Load(from, v.value * kLanes); });
  return row;
}

inline void StoreRow(float* to, const PanelRow& row) {
  Unroll<kPanelVectors>([&](auto v) { Float32::Store(to, v.value * kLanes, row.at[v.value]); });
}

// Sums over shares of a panel of `rows` queries, `shares` apart, into the first's.
inline void AddShares(float* first, int64_t distance, int64_t shares, int64_t floats) {
  for (int64_t i = 1; i < shares; ++i) {
    const float* other = first + i * distance;
    for (int64_t e = 0; e < floats; e += kLanes) {
      Float32::Store(first, e, Float32::Load(first, e) + Float32::Load(other, e));
    }
  }
}

}  // namespace MTL_ISA
}  // namespace mtl
