// What the ops on feature maps share: a map `[B, H, W, C]` is N = B H W positions of C channels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cpu/parallel_for.h"
#include "kernels/dtype.h"
#include "kernels/error.h"

namespace mtl {

constexpr int64_t kPieceElements = 32 * 1024;

// A part of a map: positions [begin, begin + count) and channels [first, first + channels).
struct Piece {
  int64_t begin, count;
  int64_t first, channels;
};

// Calls `body(piece)` for pieces of at most about 32 Ki elements that cover a map. `is_contiguous`:
// all maps are dense, so that positions do not matter and long rows of elements can be given.
template <typename Body>
void ForEachPiece(int64_t positions, int64_t channels, bool is_contiguous, int64_t cost_ns,
                  const ParallelFor& parallel_for, const Body& body) {
  if (positions == 0 || channels == 0) return;
  if (is_contiguous) {
    const int64_t elements = positions * channels;
    parallel_for((elements + kPieceElements - 1) / kPieceElements, cost_ns, [&](int64_t i) {
      const int64_t first = i * kPieceElements;
      body(Piece{0, 1, first, std::min(kPieceElements, elements - first)});
    });
    return;
  }
  const int64_t rows = std::max<int64_t>(1, kPieceElements / channels);
  parallel_for((positions + rows - 1) / rows, cost_ns, [&](int64_t i) {
    body(Piece{i * rows, std::min(rows, positions - i * rows), 0, channels});
  });
}

// The shape `[..., C]` of a map as an adapter receives it.
struct MapShape {
  int64_t positions = 0;
  int64_t channels = 0;

  MapShape() = default;
  template <typename Dimensions>
  explicit MapShape(const Dimensions& dimensions) {
    positions = 1;
    channels = 1;
    for (const int64_t size : dimensions) {
      positions *= channels;
      channels = size;
    }
  }
  bool operator==(const MapShape& other) const {
    return positions == other.positions && channels == other.channels;
  }
  std::string Text() const {
    return std::to_string(positions) + " positions of " + std::to_string(channels) + " channels";
  }
};

// An error unless all maps have the expected shape.
inline Error CheckAlike(const char* name, const std::vector<MapShape>& maps,
                        const MapShape& expected) {
  for (size_t n = 0; n < maps.size(); ++n) {
    if (maps[n] == expected) continue;
    return std::string(name) + ": expected " + expected.Text() + ", received " + maps[n].Text() +
           " at place " + std::to_string(n);
  }
  return {};
}

}  // namespace mtl
