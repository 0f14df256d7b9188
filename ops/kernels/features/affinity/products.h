// Matrices in panels of 64 columns, and their products.
//
// A matrix [n, w] lies as panels [w / 64, n, 64], float32, columns beyond w zero: whatever part of
// it a product needs lies in few cache lines, in order.
//
// Included only by sources that are compiled once per instruction set (cpu_dispatch.h).
#pragma once

#include "kernels/cpu/simd.h"

namespace mtl {
namespace MTL_ISA {

constexpr int64_t kPanel = 64;

// Rows [0, n) of `width` elements as panels, their rows `panel` floats apart from each other's.
template <typename Type>
inline void ToPanels(const typename Type::Element* from, int64_t n, int64_t width, float* panels,
                     int64_t panel) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < width; c += kLanes) {
      float* to = panels + c / kPanel * panel + i * kPanel + c % kPanel;
      const int64_t left = width - c;
      Float32::Store(to, 0,
                     left < kLanes ? LoadPart<Type>(from + i * width, c, left)
                                   : Type::Load(from + i * width, c));
    }
  }
}

template <typename Type>
inline void FromPanels(const float* panels, int64_t panel, int64_t n, int64_t width,
                       typename Type::Element* to) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < width; c += kLanes) {
      const Floats values = Float32::Load(panels + c / kPanel * panel + i * kPanel + c % kPanel, 0);
      const int64_t left = width - c;
      if (left < kLanes) {
        StorePart<Type>(to + i * width, c, left, values);
      } else {
        Type::Store(to + i * width, c, values);
      }
    }
  }
}

// The columns of a square [64, 64] of a panel as rows.
inline void TransposePanel(const float* from, float* to) {
  for (int64_t c = 0; c < kPanel; ++c) {
    for (int64_t i = 0; i < kPanel; ++i) to[c * kPanel + i] = from[i * kPanel + c];
  }
}

// A block of a product is as large as the registers allow: its results, a row of the right factor
// and an element of the left one.
constexpr int kBlockRows = 6;
constexpr int kBlockVectors = kLanes == 16 ? 4 : 2;
constexpr int64_t kBlockColumns = kBlockVectors * kLanes;

// kRows rows and kBlockColumns columns of a sum over `pieces` of products of `depth`; row r and
// depth l of the left factor's piece p is a[r * row + l * step + p * piece].
template <bool kAdd, int kRows>
inline void ProductBlock(const float* a, int64_t row, int64_t step, int64_t piece, const float* b,
                         int64_t depth, int64_t pieces, float* c) {
  Floats sums[kRows][kBlockVectors];
  Unroll<kRows>([&](auto r) {
    Unroll<kBlockVectors>([&](auto v) {
      sums[r.value][v.value] =
          kAdd ? Float32::Load(c, r.value * kPanel + v.value * kLanes) : Floats{};
    });
  });
  for (int64_t p = 0; p < pieces; ++p) {
    const float* factors = a + p * piece;
    for (int64_t l = 0; l < depth; ++l, factors += step, b += kPanel) {
      Floats columns[kBlockVectors];
      Unroll<kBlockVectors>([&](auto v) { columns[v.value] = Float32::Load(b, v.value * kLanes); });
      Unroll<kRows>([&](auto r) {
        const Floats factor = Broadcast(factors[r.value * row]);
        Unroll<kBlockVectors>([&](auto v) { sums[r.value][v.value] += factor * columns[v.value]; });
      });
    }
  }
  Unroll<kRows>([&](auto r) {
    Unroll<kBlockVectors>([&](auto v) {
      Float32::Store(c, r.value * kPanel + v.value * kLanes, sums[r.value][v.value]);
    });
  });
}

// A panel of a product: `rows` of them, an even number.
template <bool kAdd>
inline void ProductPanel(int64_t rows, const float* a, int64_t row, int64_t step, int64_t piece,
                         const float* b, int64_t depth, int64_t pieces, float* c) {
  for (int64_t j = 0; j < kPanel; j += kBlockColumns) {
    int64_t i = 0;
    for (; i + kBlockRows <= rows; i += kBlockRows) {
      ProductBlock<kAdd, kBlockRows>(a + i * row, row, step, piece, b + j, depth, pieces,
                                     c + i * kPanel + j);
    }
    for (; i < rows; i += 2) {
      ProductBlock<kAdd, 2>(a + i * row, row, step, piece, b + j, depth, pieces,
                            c + i * kPanel + j);
    }
  }
}

// c [rows, 64] = (or +=) a [rows, 64 pieces] b [64 pieces, 64], the panels of `a` a distance
// `piece` apart; `rows` is even.
template <bool kAdd>
inline void Product(int64_t rows, const float* a, int64_t piece, const float* b, int64_t pieces,
                    float* c) {
  ProductPanel<kAdd>(rows, a, kPanel, 1, piece, b, kPanel, pieces, c);
}

// c [64, 64] = (or +=) a' b, of panels a and b [depth, 64].
template <bool kAdd>
inline void TransposedProduct(const float* a, const float* b, int64_t depth, float* c) {
  ProductPanel<kAdd>(kPanel, a, 1, kPanel, 0, b, depth, 1, c);
}

}  // namespace MTL_ISA
}  // namespace mtl
