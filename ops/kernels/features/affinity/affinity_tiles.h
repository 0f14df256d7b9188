// Affinity diffusion on the GPU: a block of threads makes one tile of a result, from tiles of the
// affinities that it makes as it goes. Written once against this interface of a block, so that
// threads of the CPU can run it too (tests/native/tiles_on_threads.cc):
//
//   block.For(n, f)                 f(i) for i in [0, n), i's spread over the threads; what f
//   writes
//                                   is seen after
//   block.Product(left, right, c)   c += left right, of square tiles
//
// Everything else is computed by every thread alike; memory is written inside the two only.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/features/affinity/affinity_diffusion.h"
#include "kernels/solvers/team.h"

namespace mtl {

// What a block works in, in memory that its threads share. A square of T (a factor of products) has
// rows of kRow, a square of float (a sum of them) rows of kSumRow: no two rows on one bank.
template <typename T, int kTileSide>
struct Tiles {
  static constexpr int kSide = kTileSide, kRow = kSide + 8, kSumRow = kSide + 4;
  static constexpr int64_t kBytes =
      2 * kSide * kRow * sizeof(T) + (3 * kSide * kSumRow + 4 * kSide) * sizeof(float);

  T *first, *second;
  float *scores, *slopes, *sums;
  float *shifts, *scales, *means, *others;  // a number for every row

  MTL_CORE explicit Tiles(void* memory) {
    scores = static_cast<float*>(memory);
    slopes = scores + kSide * kSumRow;
    sums = slopes + kSide * kSumRow;
    shifts = sums + kSide * kSumRow;
    scales = shifts + kSide;
    means = scales + kSide;
    others = means + kSide;
    first = reinterpret_cast<T*>(others + kSide);
    second = first + kSide * kRow;
  }
};

// Whether T has so few exponents that a factor made here is rounded in a unit of its tile, a power
// of two: the shares of many keys, times a small gradient, would be subnormal numbers of float16.
template <typename T>
constexpr bool kHasUnits = false;

// A factor of a product, perhaps transposed.
template <typename T>
struct Factor {
  const T* tile;
  bool is_transposed = false;
};

// The product for types that tensor cores do not take: cells of rows 16 and columns 8 apart.
template <typename T, int kSide>
MTL_CORE void ScalarProduct(int cell, Factor<T> left, Factor<T> right, float* c) {
  using Tile = Tiles<T, kSide>;
  constexpr int kRows = kSide / 16, kColumns = kSide / 8;
  const int row = cell / 8, column = cell % 8;
  float sums[kRows][kColumns] = {};
  for (int l = 0; l < kSide; ++l) {
    float a[kRows], b[kColumns];
    for (int r = 0; r < kRows; ++r) {
      const int i = row + 16 * r;
      a[r] = ToFloat(left.tile[left.is_transposed ? l * Tile::kRow + i : i * Tile::kRow + l]);
    }
    for (int s = 0; s < kColumns; ++s) {
      const int j = column + 8 * s;
      b[s] = ToFloat(right.tile[right.is_transposed ? j * Tile::kRow + l : l * Tile::kRow + j]);
    }
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kColumns; ++s) sums[r][s] += a[r] * b[s];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) {
      c[(row + 16 * r) * Tile::kSumRow + column + 8 * s] += sums[r][s];
    }
  }
}
constexpr int kProductCells = 128;

// The inputs as they lie on the device, for one image.
template <typename T>
struct ImageMaps {
  const T* values;
  const T* upstream;  // null for the results
  const float* mix;
  const float* softmax;  // of the batch, [2, S, B, N]
  float* means;          // of the batch, [S, B, N]: sum_k p slopes
  int64_t image, batch, positions, width, channels;
  int num_sources;

  // Of row q of source s.
  MTL_CORE int64_t Place(int s, int64_t q) const { return (s * batch + image) * positions + q; }
  MTL_CORE float Shift(int s, int64_t q) const { return softmax[Place(s, q)]; }
  MTL_CORE float Sum(int s, int64_t q) const { return softmax[Place(num_sources + s, q)]; }
};

// Work on tiles. The functions are named after what they leave where.
template <typename T, int kSide, typename Block>
class TileWork {
 public:
  using Tile = Tiles<T, kSide>;

  MTL_CORE TileWork(const Block& block, const Tile& tiles, const ImageMaps<T>& maps)
      : block_(block), t_(tiles), maps_(maps) {}

  // results[q.., c..] of an image; `softmax` is written by the first tile of channels.
  MTL_CORE void Results(const T* const* queries, const T* const* keys, int64_t q, int64_t c,
                        T* results, float* softmax) const {
    Clear(t_.slopes);  // the sum over sources
    for (int s = 0; s < maps_.num_sources; ++s) {
      Clear(t_.sums);
      block_.For(kSide, [&](int i) {
        t_.shifts[i] = -INFINITY;
        t_.scales[i] = 0.0f;
      });
      for (int64_t k = 0; k < maps_.positions; k += kSide) {
        Correlate(queries[s], q, keys[s], k, maps_.width, t_.scores);
        const int count = Count(k);
        block_.For(kSide, [&](int i) {
          const float before = t_.shifts[i];
          float largest = before;
          ForRow(i, count, [&](int place) {
            largest = t_.scores[place] > largest ? t_.scores[place] : largest;
          });
          t_.others[i] = expf(before - largest);
          t_.shifts[i] = largest;
        });
        block_.For(kSide * kSide, [&](int e) {
          const int i = e / kSide, j = e % kSide, place = i * Tile::kSumRow + j;
          const float p = j < count ? expf(t_.scores[place] - t_.shifts[i]) : 0.0f;
          t_.scores[place] = p;
          t_.second[i * Tile::kRow + j] = FromFloat<T>(p);
          t_.sums[place] *= t_.others[i];
        });
        block_.For(kSide, [&](int i) {
          float sum = t_.scales[i] * t_.others[i];
          ForRow(i, count, [&](int place) { sum += t_.scores[place]; });
          t_.scales[i] = sum;
        });
        Load(maps_.values, k, c, maps_.channels, t_.first);
        block_.Product(Factor<T>{t_.second}, Factor<T>{t_.first}, t_.sums);
      }
      block_.For(kSide * kSide, [&](int e) {
        const int i = e / kSide, place = i * Tile::kSumRow + e % kSide;
        t_.slopes[place] += maps_.mix[s] / t_.scales[i] * t_.sums[place];
      });
      if (c != 0) continue;
      block_.For(Count(q), [&](int i) {
        softmax[maps_.Place(s, q + i)] = t_.shifts[i];
        softmax[maps_.Place(maps_.num_sources + s, q + i)] = t_.scales[i];
      });
    }
    Store(t_.slopes, q, c, maps_.channels, results);
  }

  // The gradient of queries[q.., d..] of a source; the means by the first tile of channels.
  MTL_CORE void QueryGradients(int s, const T* queries, const T* keys, int64_t q, int64_t d,
                               T* gradients) const {
    ReadRows(s, q, false);
    for (int64_t k = 0; k < maps_.positions; k += kSide) {
      ScoresAndSlopes(queries, q, keys, k);
      const int count = Count(k);
      block_.For(kSide * kSide, [&](int e) {
        const int i = e / kSide, place = i * Tile::kSumRow + e % kSide;
        t_.scores[place] = expf(t_.scores[place] - t_.shifts[i]) * t_.slopes[place];
      });
      block_.For(kSide, [&](int i) {
        float sum = 0.0f;
        ForRow(i, count, [&](int place) { sum += t_.scores[place]; });
        t_.means[i] += sum;
      });
    }
    block_.For(kSide, [&](int i) {
      t_.means[i] *= t_.scales[i];
      if (d == 0 && q + i < maps_.positions) maps_.means[maps_.Place(s, q + i)] = t_.means[i];
    });
    Clear(t_.sums);
    float unit = kFirstUnit;
    for (int64_t k = 0; k < maps_.positions; k += kSide) {
      ScoresAndSlopes(queries, q, keys, k);
      ScoreGradients(s, k, &unit);
      Load(keys, k, d, maps_.width, t_.first);
      block_.Product(Factor<T>{t_.second}, Factor<T>{t_.first}, t_.sums);
    }
    Store(t_.sums, q, d, maps_.width, gradients, unit);
  }

  // The gradient of keys[k.., d..] of a source, once all means are known.
  MTL_CORE void KeyGradients(int s, const T* queries, const T* keys, int64_t k, int64_t d,
                             T* gradients) const {
    Clear(t_.sums);
    float unit = kFirstUnit;
    for (int64_t q = 0; q < maps_.positions; q += kSide) {
      ReadRows(s, q, true);
      ScoresAndSlopes(queries, q, keys, k);
      ScoreGradients(s, k, &unit);
      Load(queries, q, d, maps_.width, t_.first);
      block_.Product(Factor<T>{t_.second, true}, Factor<T>{t_.first}, t_.sums);
    }
    Store(t_.sums, k, d, maps_.width, gradients, unit);
  }

  // The gradient of values[k.., c..].
  MTL_CORE void ValueGradients(const T* const* queries, const T* const* keys, int64_t k, int64_t c,
                               T* gradients) const {
    Clear(t_.sums);
    float unit = kFirstUnit;
    for (int64_t q = 0; q < maps_.positions; q += kSide) {
      Clear(t_.slopes);  // the mixed affinities
      for (int s = 0; s < maps_.num_sources; ++s) {
        ReadRows(s, q, false);
        Correlate(queries[s], q, keys[s], k, maps_.width, t_.scores);
        block_.For(kSide * kSide, [&](int e) {
          const int i = e / kSide, place = i * Tile::kSumRow + e % kSide;
          t_.slopes[place] += maps_.mix[s] * t_.scales[i] * expf(t_.scores[place] - t_.shifts[i]);
        });
      }
      RoundToSecond(&unit, [&](int, int, int place) { return t_.slopes[place]; });
      Load(maps_.upstream, q, c, maps_.channels, t_.first);
      block_.Product(Factor<T>{t_.second, true}, Factor<T>{t_.first}, t_.sums);
    }
    Store(t_.sums, k, c, maps_.channels, gradients, unit);
  }

 private:
  static constexpr float kFirstUnit = kHasUnits<T> ? 0x1p100f : 1.0f;

  // Positions of the tile that begins at `begin`.
  MTL_CORE int Count(int64_t begin) const {
    const int64_t left = maps_.positions - begin;
    return left < kSide ? static_cast<int>(left) : kSide;
  }

  MTL_CORE void Clear(float* tile) const {
    block_.For(kSide * Tile::kSumRow, [&](int e) { tile[e] = 0.0f; });
  }

  // Calls f(place) for `count` elements of row i; threads of neighbouring rows begin at different
  // banks.
  template <typename Function>
  MTL_CORE void ForRow(int i, int count, const Function& f) const {
    for (int n = 0; n < kSide; ++n) {
      const int j = (n + i) % kSide;
      if (j < count) f(i * Tile::kSumRow + j);
    }
  }

  // map[row.., column..], zeros beyond.
  MTL_CORE void Load(const T* map, int64_t row, int64_t column, int64_t width, T* tile) const {
    block_.For(kSide * kSide, [&](int e) {
      const int i = e / kSide, j = e % kSide;
      const bool is_there = row + i < maps_.positions && column + j < width;
      tile[i * Tile::kRow + j] =
          is_there ? map[(row + i) * width + column + j] : FromFloat<T>(0.0f);
    });
  }

  // map[row.., column..] = tile / unit.
  MTL_CORE void Store(const float* tile, int64_t row, int64_t column, int64_t width, T* map,
                      float unit = 1.0f) const {
    block_.For(kSide * kSide, [&](int e) {
      const int i = e / kSide, j = e % kSide;
      if (row + i < maps_.positions && column + j < width) {
        map[(row + i) * width + column + j] =
            FromFloat<T>(tile[i * Tile::kSumRow + j] * (1.0f / unit));
      }
    });
  }

  // c = rows[q..] columns[k..]'.
  MTL_CORE void Correlate(const T* rows, int64_t q, const T* columns, int64_t k, int64_t width,
                          float* c) const {
    Clear(c);
    for (int64_t d = 0; d < width; d += kSide) {
      Load(rows, q, d, width, t_.first);
      Load(columns, k, d, width, t_.second);
      block_.Product(Factor<T>{t_.first}, Factor<T>{t_.second, true}, c);
    }
  }

  MTL_CORE void ScoresAndSlopes(const T* queries, int64_t q, const T* keys, int64_t k) const {
    Correlate(maps_.upstream, q, maps_.values, k, maps_.channels, t_.slopes);
    Correlate(queries, q, keys, k, maps_.width, t_.scores);
  }

  // What the softmax is made with, and the means if they are known; nothing beyond the last query.
  MTL_CORE void ReadRows(int s, int64_t q, bool with_means) const {
    block_.For(kSide, [&](int i) {
      const bool is_there = q + i < maps_.positions;
      t_.shifts[i] = is_there ? maps_.Shift(s, q + i) : 0.0f;
      t_.scales[i] = is_there ? 1.0f / maps_.Sum(s, q + i) : 0.0f;
      t_.means[i] = is_there && with_means ? maps_.means[maps_.Place(s, q + i)] : 0.0f;
    });
  }

  // second = mix p (slopes - mean), the gradient of the scores with keys k..
  MTL_CORE void ScoreGradients(int s, int64_t k, float* unit) const {
    const int count = Count(k);
    RoundToSecond(unit, [&](int i, int j, int place) {
      const float p = expf(t_.scores[place] - t_.shifts[i]) * t_.scales[i];
      return j < count ? maps_.mix[s] * p * (t_.slopes[place] - t_.means[i]) : 0.0f;
    });
  }

  // second = unit f(row, column, place). Where T has units, the unit shrinks until the largest
  // number so far is below 2^15, and `sums` with it; scores are overwritten.
  template <typename Function>
  MTL_CORE void RoundToSecond(float* unit, const Function& f) const {
    if constexpr (kHasUnits<T>) {
      block_.For(kSide * kSide, [&](int e) {
        const int i = e / kSide, j = e % kSide, place = i * Tile::kSumRow + j;
        t_.scores[place] = f(i, j, place);
      });
      ShrinkUnit(unit);
      block_.For(kSide * kSide, [&](int e) {
        const int i = e / kSide, j = e % kSide;
        t_.second[i * Tile::kRow + j] = FromFloat<T>(*unit * t_.scores[i * Tile::kSumRow + j]);
      });
    } else {
      block_.For(kSide * kSide, [&](int e) {
        const int i = e / kSide, j = e % kSide;
        t_.second[i * Tile::kRow + j] = FromFloat<T>(f(i, j, i * Tile::kSumRow + j));
      });
    }
  }

  // To what the largest finite number of the scores needs.
  MTL_CORE void ShrinkUnit(float* unit) const {
    block_.For(kSide, [&](int i) {
      float largest = 0.0f;
      ForRow(i, kSide, [&](int place) {
        const float size = fabsf(t_.scores[place]);
        if (size > largest && size < INFINITY) largest = size;
      });
      t_.others[i] = largest;
    });
    float largest = 0.0f;
    for (int i = 0; i < kSide; ++i) largest = t_.others[i] > largest ? t_.others[i] : largest;
    int exponent = 0;
    frexpf(largest, &exponent);
    const float fitting = largest > 0.0f ? ldexpf(1.0f, 15 - exponent) : *unit;
    if (!(fitting < *unit)) return;
    const float ratio = fitting / *unit;
    block_.For(kSide * Tile::kSumRow, [&](int e) { t_.sums[e] *= ratio; });
    *unit = fitting;
  }

  const Block& block_;
  const Tile& t_;
  const ImageMaps<T>& maps_;
};

}  // namespace mtl
