// Affinity diffusion for a group of queries and a share of the keys: the gradient. Compiled once
// per instruction set (cpu_dispatch.h).
#include "kernels/cpu/vector_math.h"
#include "kernels/features/affinity/affinity_panels.h"

namespace mtl {
namespace MTL_ISA {
namespace {

// Keys that all products with them are made of before the next.
constexpr int64_t kStretch = 120;

// One number for each of the group's queries; zero for those that do not exist.
struct OfQueries {
  float at[kQueriesAtOnce];
};

OfQueries Read(const float* from, int64_t count) {
  OfQueries numbers{};
  std::memcpy(numbers.at, from, count * sizeof(float));
  return numbers;
}

// Turns `count` rows of scores into exp(score - shift); their products with the slopes are added
// up.
void Exponentials(float* scores, const float* slopes, int64_t count, int64_t rows,
                  const float* shifts, float* sums) {
  const PanelRow shift = LoadRow(shifts);
  PanelRow sum{};
  for (int64_t k = 0; k < count; ++k) {
    PanelRow row = LoadRow(scores + k * kPanel);
    const PanelRow slope = LoadRow(slopes + k * kPanel);
    Unroll<kPanelVectors>([&](auto v) {
      row.at[v.value] = Exp(row.at[v.value] - shift.at[v.value]);
      sum.at[v.value] += row.at[v.value] * slope.at[v.value];
    });
    StoreRow(scores + k * kPanel, row);
  }
  std::memset(scores + count * kPanel, 0, (rows - count) * kPanel * sizeof(float));
  StoreRow(sums, sum);
}

// Turns exponentials into the gradients of their scores, mix p (slope - sum p slope), and slopes
// into the mixed affinities, sum mix p. `factors` are mix / sum, `means` the sums of p slope.
void SoftmaxGradient(int num_sources, const float* factors, const float* means, int64_t rows,
                     int64_t source, float* affinities, float* slopes) {
  for (int64_t k = 0; k < rows; ++k) {
    const PanelRow slope = LoadRow(slopes + k * kPanel);
    PanelRow total{};
    for (int s = 0; s < num_sources; ++s) {
      float* place = affinities + s * source + k * kPanel;
      PanelRow row = LoadRow(place);
      const PanelRow factor = LoadRow(factors + s * kQueriesAtOnce);
      const PanelRow mean = LoadRow(means + s * kQueriesAtOnce);
      Unroll<kPanelVectors>([&](auto v) {
        const Floats share = factor.at[v.value] * row.at[v.value];
        total.at[v.value] += share;
        row.at[v.value] = share * (slope.at[v.value] - mean.at[v.value]);
      });
      StoreRow(place, row);
    }
    StoreRow(slopes + k * kPanel, total);
  }
}

template <typename Type>
typename Type::Element* Elements(void* array, int64_t place) {
  return static_cast<typename Type::Element*>(array) + place;
}

}  // namespace

void SlopeKeys(const AffinityDiffusionGradArgs& args, const DiffusionGroup& group, int64_t share,
               const DiffusionWork& work) {
  const DiffusionShape& shape = args.inputs.shape;
  const DiffusionSizes sizes(shape);
  OfQueries shifts[kMaxAffinities];
  for (int s = 0; s < shape.num_sources; ++s) {
    shifts[s] = Read(args.softmax + (s * shape.batch + group.image) * shape.positions + group.begin,
                     group.count);
  }
  for (int64_t p = 0; p < group.panels(); ++p) {
    float* slopes = SlopePanel(work, sizes, p, share);
    Product<false>(sizes.rows, ValuePanels(work.values, sizes, share), sizes.keys * kPanel,
                   work.upstream_transposed + p * sizes.value_panels * kTile, sizes.value_panels,
                   slopes);
    for (int s = 0; s < shape.num_sources; ++s) {
      Score(work, sizes, s, p, share);
      Exponentials(AffinityPanel(work, sizes, s, p, share), slopes, KeysOf(shape, sizes, share),
                   sizes.rows, shifts[s].at + p * kPanel,
                   RowSums(work, shape, share, 0) + s * kQueriesAtOnce + p * kPanel);
    }
  }
}

void MixGradients(const AffinityDiffusionGradArgs& args, const DiffusionGroup& group, int64_t share,
                  const DiffusionWork& work) {
  const DiffusionShape& shape = args.inputs.shape;
  const DiffusionSizes sizes(shape);
  const int64_t panels = group.panels(), all_keys = sizes.keys * kPanel;
  float factors[kMaxAffinities * kQueriesAtOnce] = {}, means[kMaxAffinities * kQueriesAtOnce] = {};
  for (int s = 0; s < shape.num_sources; ++s) {
    const float* sums = args.softmax +
                        ((shape.num_sources + s) * shape.batch + group.image) * shape.positions +
                        group.begin;
    double mean = 0;
    for (int64_t q = 0; q < group.count; ++q) {
      const int64_t place = s * kQueriesAtOnce + q;
      float sum = 0;
      for (int64_t i = 0; i < sizes.shares; ++i) sum += RowSums(work, shape, i, 0)[place];
      means[place] = sum / sums[q];
      factors[place] = args.inputs.mix[s] / sums[q];
      mean += means[place];
    }
    if (share == 0) work.mix_gradients[s] += mean;
  }
  float* const results =
      work.results + share * shape.num_sources * sizes.query_panels * kGroupPanel;
  for (int64_t k = 0; k < sizes.rows; k += kStretch) {
    const int64_t rows = sizes.rows - k < kStretch ? sizes.rows - k : kStretch;
    const auto product = k == 0 ? TransposedProduct<false> : TransposedProduct<true>;
    for (int64_t p = 0; p < panels; ++p) {
      SoftmaxGradient(shape.num_sources, factors + p * kPanel, means + p * kPanel, rows,
                      kGroupPanels * all_keys, AffinityPanel(work, sizes, 0, p, share) + k * kPanel,
                      SlopePanel(work, sizes, p, share) + k * kPanel);
    }
    for (int s = 0; s < shape.num_sources; ++s) {
      for (int64_t w = 0; w < sizes.query_panels; ++w) {
        const int64_t panel = s * sizes.query_panels + w;
        const int64_t place = panel * all_keys + (share * sizes.rows + k) * kPanel;
        Product<true>(rows, AffinityPanel(work, sizes, s, 0, share) + k * kPanel, all_keys,
                      work.queries + panel * kGroupPanel, panels, work.key_gradients + place);
        for (int64_t p = 0; p < panels; ++p) {
          product(AffinityPanel(work, sizes, s, p, share) + k * kPanel, work.keys + place, rows,
                  results + panel * kGroupPanel + p * kTile);
        }
      }
    }
    for (int64_t w = 0; w < sizes.value_panels; ++w) {
      Product<true>(
          rows, SlopePanel(work, sizes, 0, share) + k * kPanel, all_keys,
          work.upstream + w * kGroupPanel, panels,
          ValuePanels(work.value_gradients, sizes, share) + (w * sizes.keys + k) * kPanel);
    }
  }
}

void StoreQueryGradients(const AffinityDiffusionGradArgs& args, const DiffusionGroup& group,
                         int part, const DiffusionWork& work) {
  const DiffusionShape& shape = args.inputs.shape;
  const DiffusionSizes sizes(shape);
  const int64_t floats = sizes.query_panels * kGroupPanel;
  float* const results = work.results + part * floats;
  AddShares(results, shape.num_sources * floats, sizes.shares, floats);
  WithType(shape.type, [&](auto type) {
    using Type = decltype(type);
    const int64_t place = (group.image * shape.positions + group.begin) * shape.query_channels;
    FromPanels<Type>(results, kGroupPanel, group.count, shape.query_channels,
                     Elements<Type>(args.query_gradients[part], place));
  });
}

void StoreKeyGradients(const AffinityDiffusionGradArgs& args, int64_t image, int part,
                       const DiffusionWork& work) {
  const DiffusionShape& shape = args.inputs.shape;
  const DiffusionSizes sizes(shape);
  const bool is_values = part == shape.num_sources;
  const int64_t width = is_values ? shape.value_channels : shape.query_channels;
  const float* from =
      is_values ? work.value_gradients : KeyPanels(work.key_gradients, sizes, part, 0);
  void* const to = is_values ? args.value_gradients : args.key_gradients[part];
  WithType(shape.type, [&](auto type) {
    using Type = decltype(type);
    FromPanels<Type>(from, sizes.keys * kPanel, shape.positions, width,
                     Elements<Type>(to, image * shape.positions * width));
  });
}

}  // namespace MTL_ISA
}  // namespace mtl
