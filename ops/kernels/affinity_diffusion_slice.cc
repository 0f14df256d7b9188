// Affinity diffusion for Q = kQueriesAtOnce queries at a time, compiled once per instruction set
// (cpu_dispatch.h).
//
// Whole rows of the affinities of these queries are made, so that a softmax is one pass over its
// row and nothing is made twice; all products are with panels (panels.h).
#include "kernels/affinity_kernels.h"
#include "kernels/panels.h"
#include "kernels/vector_math.h"

namespace mtl {
namespace MTL_ISA {
namespace {

constexpr float kNone = -3e38f;  // the score of a position that does not exist

// The n queries from position q on, padded with zeros to kQueriesAtOnce rows.
template <typename Type>
void LoadQueries(const void* from, int64_t image, int64_t q, int64_t n, int64_t positions,
                 int64_t width, float* to) {
  const auto* first = static_cast<const typename Type::Element*>(from);
  const int64_t stride = Padded(width);
  CopyRows<Type>(first + (image * positions + q) * width, n, width, to, stride);
  std::memset(to + n * stride, 0, (kQueriesAtOnce - n) * stride * sizeof(float));
}

// rows [Q, padded N] = a [Q, width] times transposed panels.
void TimesTransposed(const float* a, int64_t width, const float* panels, int64_t padded,
                     float* rows) {
  for (int64_t k = 0; k < padded; k += kPanel) {
    PanelProduct<false>(kQueriesAtOnce, a, Padded(width), 1, panels + k * width, width, rows + k,
                        padded);
  }
}

// Positions of rows that products work on at a time: what they share stays in the nearest caches.
constexpr int64_t kStretch = 128;

// to [Q, padded width] = rows [Q, padded N] times panels of N positions.
void TimesPanels(const float* rows, int64_t padded, const float* panels, int64_t width, float* to) {
  const int64_t stride = Padded(width);
  for (int64_t k = 0; k < padded; k += kStretch) {
    const int64_t depth = padded - k < kStretch ? padded - k : kStretch;
    const auto product = k == 0 ? PanelProduct<false> : PanelProduct<true>;
    for (int64_t w = 0; w < width; w += kPanel) {
      product(kQueriesAtOnce, rows + k, padded, 1, panels + w * padded + k * kPanel, depth, to + w,
              stride);
    }
  }
}

// sums [padded N, padded width] += rows' [padded N, Q] times panels of the Q queries.
void AddTransposedTimes(const float* rows, int64_t padded, const float* panels, int64_t width,
                        float* sums) {
  const int64_t stride = Padded(width);
  for (int64_t k = 0; k < padded; k += kStretch) {
    const int64_t count = padded - k < kStretch ? padded - k : kStretch;
    for (int64_t w = 0; w < width; w += kPanel) {
      PanelProduct<true>(count, rows + k, 1, padded, panels + w * kQueriesAtOnce, kQueriesAtOnce,
                         sums + k * stride + w, stride);
    }
  }
}

float LargestOfRow(const float* row, int64_t n) {
  Floats largest = Float32::Load(row, 0);
  for (int64_t k = kLanes; k < n; k += kLanes) {
    const Floats x = Float32::Load(row, k);
    largest = x > largest ? x : largest;
  }
  return LargestOf(largest);
}

// row = exp(row - shift); returns the sum.
float Exponentials(float* row, int64_t n, float shift) {
  Floats sum = {};
  for (int64_t k = 0; k < n; k += kLanes) {
    const Floats e = Exp(Float32::Load(row, k) - shift);
    Float32::Store(row, k, e);
    sum += e;
  }
  return SumOf(sum);
}

// Turns a row of exponentials, `scale` times which are the affinities p, into
// mix p (slopes - sum p slopes), the gradient of its scores, after adding mix p to `total` (or
// setting it). Returns sum p slopes, the gradient of mix.
double SoftmaxSlopes(float* row, const float* slopes, int64_t n, float scale, float mix,
                     float* total, bool is_first) {
  Floats products = {};
  for (int64_t k = 0; k < n; k += kLanes) {
    products += Float32::Load(row, k) * Float32::Load(slopes, k);
  }
  const float mean = scale * SumOf(products);
  const float factor = mix * scale;
  for (int64_t k = 0; k < n; k += kLanes) {
    const Floats share = factor * Float32::Load(row, k);
    Float32::Store(total, k, is_first ? share : Float32::Load(total, k) + share);
    Float32::Store(row, k, share * (Float32::Load(slopes, k) - mean));
  }
  return mean;
}

template <typename Type>
void WriteRows(const float* rows, int64_t stride, int64_t n, int64_t width, void* to) {
  auto* out = static_cast<typename Type::Element*>(to);
  for (int64_t i = 0; i < n; ++i) {
    int64_t c = 0;
    for (; c + kLanes <= width; c += kLanes) {
      Type::Store(out + i * width, c, Float32::Load(rows + i * stride, c));
    }
    if (c < width) {
      StorePart<Type>(out + i * width, c, width - c,
                      LoadPart<Float32>(rows + i * stride, c, width - c));
    }
  }
}

template <typename Type>
void MakePanels(const DiffusionShape& shape, const void* const* keys, const void* values,
                int64_t image, int part, const DiffusionPanels& panels, float* rows) {
  const bool is_values = part == shape.num_sources;
  const int64_t width = is_values ? shape.value_channels : shape.query_channels;
  const int64_t n = shape.positions, padded = Padded(n), stride = Padded(width);
  const auto* from = static_cast<const typename Type::Element*>(is_values ? values : keys[part]);
  CopyRows<Type>(from + image * n * width, n, width, rows, stride);
  float* plain = is_values                ? panels.values
                 : panels.keys == nullptr ? nullptr
                                          : panels.keys + part * padded * stride;
  float* transposed =
      is_values ? panels.values_transposed : panels.keys_transposed + part * padded * width;
  if (plain != nullptr) ToPanels(rows, stride, n, padded, width, plain);
  if (transposed != nullptr) ToTransposedPanels(rows, stride, n, padded, width, transposed);
}

template <typename Type>
void Diffuse(const AffinityDiffusionArgs& args, int64_t image, int64_t begin, int64_t end,
             const DiffusionPanels& panels, const DiffusionRows& space) {
  const DiffusionShape& shape = args.shape;
  const int64_t positions = shape.positions, padded = Padded(positions);
  const int64_t width = shape.query_channels, channels = shape.value_channels;
  for (int64_t q = begin; q < end; q += kQueriesAtOnce) {
    const int64_t n = end - q < kQueriesAtOnce ? end - q : kQueriesAtOnce;
    for (int s = 0; s < shape.num_sources; ++s) {
      LoadQueries<Type>(args.queries[s], image, q, n, positions, width, space.queries);
      TimesTransposed(space.queries, width, panels.keys_transposed + s * padded * width, padded,
                      space.scores);
      for (int64_t i = 0; i < kQueriesAtOnce; ++i) {
        float* row = space.scores + i * padded;
        for (int64_t k = positions; k < padded; ++k) row[k] = kNone;
        const float shift = LargestOfRow(row, padded);
        const float sum = Exponentials(row, padded, shift);
        if (i < n) {
          const int64_t place = (s * shape.batch + image) * positions + q + i;
          args.softmax[place] = shift;
          args.softmax[shape.num_sources * shape.batch * positions + place] = sum;
        }
        const Floats factor = Broadcast(args.mix[s] / sum);
        float* to = space.total + i * padded;
        for (int64_t k = 0; k < padded; k += kLanes) {
          const Floats share = factor * Float32::Load(row, k);
          Float32::Store(to, k, s == 0 ? share : Float32::Load(to, k) + share);
        }
      }
    }
    TimesPanels(space.total, padded, panels.values, channels, space.upstream);
    StoreRows(
        shape.type, space.upstream, Padded(channels), n, channels,
        static_cast<typename Type::Element*>(args.results) + (image * positions + q) * channels);
  }
}

template <typename Type>
void DiffuseGrad(const AffinityDiffusionGradArgs& args, int64_t image, int64_t begin, int64_t end,
                 const DiffusionPanels& panels, const DiffusionRows& space,
                 const DiffusionSums& sums) {
  using Element = typename Type::Element;
  const DiffusionShape& shape = args.shape;
  const int64_t positions = shape.positions, padded = Padded(positions);
  const int64_t width = shape.query_channels, channels = shape.value_channels;
  const int64_t query_stride = Padded(width), value_stride = Padded(channels);
  float* const query_panels = space.panels;
  float* const upstream_panels = space.panels + query_stride * kQueriesAtOnce;
  for (int64_t q = begin; q < end; q += kQueriesAtOnce) {
    const int64_t n = end - q < kQueriesAtOnce ? end - q : kQueriesAtOnce;
    LoadQueries<Type>(args.upstream, image, q, n, positions, channels, space.upstream);
    ToPanels(space.upstream, value_stride, n, kQueriesAtOnce, channels, upstream_panels);
    // The gradient of the mixed affinities.
    TimesTransposed(space.upstream, channels, panels.values_transposed, padded, space.slopes);
    for (int s = 0; s < shape.num_sources; ++s) {
      LoadQueries<Type>(args.queries[s], image, q, n, positions, width, space.queries);
      ToPanels(space.queries, query_stride, n, kQueriesAtOnce, width, query_panels);
      TimesTransposed(space.queries, width, panels.keys_transposed + s * padded * width, padded,
                      space.scores);
      const float* shifts = args.softmax + (s * shape.batch + image) * positions + q;
      const float* totals = shifts + shape.num_sources * shape.batch * positions;
      double of_mix = 0;
      for (int64_t i = 0; i < kQueriesAtOnce; ++i) {
        float* row = space.scores + i * padded;
        float* total = space.total + i * padded;
        if (i >= n) {
          std::memset(row, 0, padded * sizeof(float));
          if (s == 0) std::memset(total, 0, padded * sizeof(float));
          continue;
        }
        for (int64_t k = positions; k < padded; ++k) row[k] = kNone;
        Exponentials(row, padded, shifts[i]);
        of_mix += SoftmaxSlopes(row, space.slopes + i * padded, padded, 1.0f / totals[i],
                                args.mix[s], total, s == 0);
      }
      sums.mix_gradients[s] += of_mix;
      TimesPanels(space.scores, padded, panels.keys + s * padded * query_stride, width,
                  space.products);
      StoreRows(shape.type, space.products, query_stride, n, width,
                static_cast<Element*>(args.query_gradients[s]) + (image * positions + q) * width);
      AddTransposedTimes(space.scores, padded, query_panels, width,
                         sums.key_gradients + s * padded * query_stride);
    }
    AddTransposedTimes(space.total, padded, upstream_panels, channels, sums.value_gradients);
  }
}

}  // namespace

void MakeDiffusionPanels(const DiffusionShape& shape, const void* const* keys, const void* values,
                         int64_t image, int part, const DiffusionPanels& panels, float* rows) {
  WithType(shape.type, [&](auto t) {
    MakePanels<decltype(t)>(shape, keys, values, image, part, panels, rows);
  });
}

void DiffuseKernel(const AffinityDiffusionArgs& args, int64_t image, int64_t begin, int64_t end,
                   const DiffusionPanels& panels, const DiffusionRows& space) {
  WithType(args.shape.type,
           [&](auto t) { Diffuse<decltype(t)>(args, image, begin, end, panels, space); });
}

void DiffuseGradKernel(const AffinityDiffusionGradArgs& args, int64_t image, int64_t begin,
                       int64_t end, const DiffusionPanels& panels, const DiffusionRows& space,
                       const DiffusionSums& sums) {
  WithType(args.shape.type,
           [&](auto t) { DiffuseGrad<decltype(t)>(args, image, begin, end, panels, space, sums); });
}

void StoreRows(ElementType type, const float* rows, int64_t stride, int64_t n, int64_t width,
               void* to) {
  WithType(type, [&](auto t) { WriteRows<decltype(t)>(rows, stride, n, width, to); });
}

}  // namespace MTL_ISA
}  // namespace mtl
