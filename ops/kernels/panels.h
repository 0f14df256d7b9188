// Matrices in panels of 32 columns, so that products read them in order, and the product itself.
//
// A matrix [n, w] becomes panels [w / 32, n, 32], float32, columns beyond w zero. Products take any
// rows (their number a multiple of 8) times panels.
//
// Included only by sources that are compiled once per instruction set (cpu_dispatch.h).
#pragma once

#include "kernels/simd.h"

namespace mtl {
namespace MTL_ISA {

constexpr int64_t kPanel = 32;

// n, filled up to whole panels; mirrored by PaddedPositions in affinity_kernels.h.
inline int64_t Padded(int64_t n) { return (n + kPanel - 1) / kPanel * kPanel; }

// Rows [0, n) of `width` elements as rows of float32, `stride` apart, zero beyond.
template <typename Type>
inline void CopyRows(const void* from, int64_t n, int64_t width, float* to, int64_t stride) {
  for (int64_t i = 0; i < n; ++i) {
    const auto* row = static_cast<const typename Type::Element*>(from) + i * width;
    float* out = to + i * stride;
    int64_t c = 0;
    for (; c + kLanes <= width; c += kLanes) Float32::Store(out, c, Type::Load(row, c));
    if (c < width) StorePart<Float32>(out, c, width - c, LoadPart<Type>(row, c, width - c));
    for (c = width; c < stride; ++c) out[c] = 0.0f;
  }
}

// Panels of rows of float32; `rows` positions, of which those beyond n are zero.
inline void ToPanels(const float* from, int64_t stride, int64_t n, int64_t rows, int64_t width,
                     float* panels) {
  for (int64_t w = 0; w < width; w += kPanel) {
    for (int64_t i = 0; i < rows; ++i) {
      float* to = panels + (w * rows) + i * kPanel;
      for (int64_t c = 0; c < kPanel; ++c) {
        to[c] = i < n && w + c < width ? from[i * stride + w + c] : 0.0f;
      }
    }
  }
}

// Panels of the transpose: [rows / 32, width, 32].
inline void ToTransposedPanels(const float* from, int64_t stride, int64_t n, int64_t rows,
                               int64_t width, float* panels) {
  for (int64_t i = 0; i < rows; i += kPanel) {
    for (int64_t c = 0; c < width; ++c) {
      float* to = panels + (i * width) + c * kPanel;
      for (int64_t k = 0; k < kPanel; ++k) to[k] = i + k < n ? from[(i + k) * stride + c] : 0.0f;
    }
  }
}

#if defined(__AVX512F__)
constexpr int kProductRows = 8;
#else
constexpr int kProductRows = 4;
#endif

// kProductRows rows and two vectors of columns of a product; `b` is within a panel.
template <bool kAdd>
inline void ProductBlock(const float* a, int64_t row_stride, int64_t depth_stride, const float* b,
                         int64_t depth, float* c, int64_t c_stride) {
  Floats left[kProductRows], right[kProductRows];
  Unroll<kProductRows>([&](auto r) {
    left[r.value] = kAdd ? Float32::Load(c, r.value * c_stride) : Floats{};
    right[r.value] = kAdd ? Float32::Load(c, r.value * c_stride + kLanes) : Floats{};
  });
  for (int64_t l = 0; l < depth; ++l) {
    const Floats first = Float32::Load(b, l * kPanel);
    const Floats second = Float32::Load(b, l * kPanel + kLanes);
    const float* factors = a + l * depth_stride;
    Unroll<kProductRows>([&](auto r) {
      const Floats factor = Broadcast(factors[r.value * row_stride]);
      left[r.value] += factor * first;
      right[r.value] += factor * second;
    });
  }
  Unroll<kProductRows>([&](auto r) {
    Float32::Store(c, r.value * c_stride, left[r.value]);
    Float32::Store(c, r.value * c_stride + kLanes, right[r.value]);
  });
}

// c [rows, 32] = or += a [rows, depth] b, `b` a panel [depth, 32].
template <bool kAdd>
inline void PanelProduct(int64_t rows, const float* a, int64_t row_stride, int64_t depth_stride,
                         const float* b, int64_t depth, float* c, int64_t c_stride) {
  for (int64_t i = 0; i < rows; i += kProductRows) {
    for (int64_t j = 0; j < kPanel; j += 2 * kLanes) {
      ProductBlock<kAdd>(a + i * row_stride, row_stride, depth_stride, b + j, depth,
                         c + i * c_stride + j, c_stride);
    }
  }
}

}  // namespace MTL_ISA
}  // namespace mtl
