// Affinity diffusion for a group of queries and a share of the keys: the results. Compiled once per
// instruction set (cpu_dispatch.h).
#include "kernels/cpu/vector_math.h"
#include "kernels/features/affinity/affinity_panels.h"

namespace mtl {
namespace MTL_ISA {
namespace {

// Keys whose values are read while they are in the nearest cache.
constexpr int64_t kStretch = 120;

// Turns `count` rows of scores into exp(score - largest).
void Exponentials(float* scores, int64_t count, int64_t rows, float* largest, float* sums) {
  PanelRow most = LoadRow(scores), sum{};
  for (int64_t k = 1; k < count; ++k) {
    const PanelRow row = LoadRow(scores + k * kPanel);
    Unroll<kPanelVectors>([&](auto v) {
      Floats& top = most.at[v.value];
      top = row.at[v.value] > top ? row.at[v.value] : top;
    });
  }
  for (int64_t k = 0; k < count; ++k) {
    PanelRow row = LoadRow(scores + k * kPanel);
    Unroll<kPanelVectors>([&](auto v) {
      row.at[v.value] = Exp(row.at[v.value] - most.at[v.value]);
      sum.at[v.value] += row.at[v.value];
    });
    StoreRow(scores + k * kPanel, row);
  }
  std::memset(scores + count * kPanel, 0, (rows - count) * kPanel * sizeof(float));
  StoreRow(largest, most);
  StoreRow(sums, sum);
}

// What a share's exponentials of a source are multiplied with, from every share's largest score
// and sum; `largest` and `sum` of whole rows besides.
void Factors(const DiffusionWork& work, const DiffusionShape& shape, int64_t shares, int64_t share,
             int64_t place, float mix, float* factors, float* largest, float* sum) {
  for (int64_t q = place; q < place + kQueriesAtOnce; q += kLanes) {
    Floats top = Float32::Load(RowSums(work, shape, 0, 0), q), total{};
    for (int64_t i = 1; i < shares; ++i) {
      const Floats other = Float32::Load(RowSums(work, shape, i, 0), q);
      top = other > top ? other : top;
    }
    for (int64_t i = 0; i < shares; ++i) {
      total += Exp(Float32::Load(RowSums(work, shape, i, 0), q) - top) *
               Float32::Load(RowSums(work, shape, i, 1), q);
    }
    const Floats own = Exp(Float32::Load(RowSums(work, shape, share, 0), q) - top);
    Float32::Store(factors, q - place, mix * own / total);
    Float32::Store(largest, q - place, top);
    Float32::Store(sum, q - place, total);
  }
}

// The mixed affinities of `rows` keys, in place of the first source's.
void Mix(const DiffusionShape& shape, const DiffusionSizes& sizes, const float* factors,
         int64_t rows, float* affinities) {
  const int64_t source = kGroupPanels * sizes.keys * kPanel;
  for (int64_t k = 0; k < rows; ++k) {
    PanelRow total{};
    for (int s = 0; s < shape.num_sources; ++s) {
      const PanelRow row = LoadRow(affinities + s * source + k * kPanel);
      const PanelRow factor = LoadRow(factors + s * kQueriesAtOnce);
      Unroll<kPanelVectors>(
          [&](auto v) { total.at[v.value] += factor.at[v.value] * row.at[v.value]; });
    }
    StoreRow(affinities + k * kPanel, total);
  }
}

template <typename Type>
const typename Type::Element* Elements(const void* array, int64_t place) {
  return static_cast<const typename Type::Element*>(array) + place;
}

template <typename Type>
void LoadGroup(const void* array, const DiffusionShape& shape, const DiffusionGroup& group,
               int64_t width, int64_t panels, float* plain, float* transposed) {
  const int64_t first = (group.image * shape.positions + group.begin) * width;
  ToPanels<Type>(Elements<Type>(array, first), group.count, width, plain, kGroupPanel);
  const int64_t rows = group.panels() * kPanel;
  for (int64_t w = 0; w < panels; ++w) {
    float* panel = plain + w * kGroupPanel;
    std::memset(panel + group.count * kPanel, 0, (rows - group.count) * kPanel * sizeof(float));
    for (int64_t p = 0; p < group.panels(); ++p) {
      TransposePanel(panel + p * kTile, transposed + (p * panels + w) * kTile);
    }
  }
}

}  // namespace

void LoadKeys(const DiffusionInputs& in, int64_t image, int part, const DiffusionWork& work) {
  const DiffusionShape& shape = in.shape;
  const DiffusionSizes sizes(shape);
  const bool is_values = part == shape.num_sources;
  const int64_t width = is_values ? shape.value_channels : shape.query_channels;
  const void* from = is_values ? in.values : in.keys[part];
  float* to = is_values ? work.values : KeyPanels(work.keys, sizes, part, 0);
  WithType(shape.type, [&](auto type) {
    using Type = decltype(type);
    ToPanels<Type>(Elements<Type>(from, image * shape.positions * width), shape.positions, width,
                   to, sizes.keys * kPanel);
  });
}

void LoadQueries(const DiffusionInputs& in, const void* upstream, const DiffusionGroup& group,
                 int part, const DiffusionWork& work) {
  const DiffusionShape& shape = in.shape;
  const DiffusionSizes sizes(shape);
  WithType(shape.type, [&](auto type) {
    using Type = decltype(type);
    if (part == shape.num_sources) {
      LoadGroup<Type>(upstream, shape, group, shape.value_channels, sizes.value_panels,
                      work.upstream, work.upstream_transposed);
    } else {
      LoadGroup<Type>(in.queries[part], shape, group, shape.query_channels, sizes.query_panels,
                      work.queries + part * sizes.query_panels * kGroupPanel,
                      work.queries_transposed + part * kGroupPanels * sizes.query_panels * kTile);
    }
  });
}

void ScoreKeys(const DiffusionInputs& in, const DiffusionGroup& group, int64_t share,
               const DiffusionWork& work) {
  const DiffusionShape& shape = in.shape;
  const DiffusionSizes sizes(shape);
  for (int s = 0; s < shape.num_sources; ++s) {
    for (int64_t p = 0; p < group.panels(); ++p) {
      Score(work, sizes, s, p, share);
      const int64_t place = s * kQueriesAtOnce + p * kPanel;
      Exponentials(AffinityPanel(work, sizes, s, p, share), KeysOf(shape, sizes, share), sizes.rows,
                   RowSums(work, shape, share, 0) + place, RowSums(work, shape, share, 1) + place);
    }
  }
}

void MixValues(const AffinityDiffusionArgs& args, const DiffusionGroup& group, int64_t share,
               const DiffusionWork& work) {
  const DiffusionShape& shape = args.inputs.shape;
  const DiffusionSizes sizes(shape);
  float factors[kMaxAffinities * kQueriesAtOnce], largest[kQueriesAtOnce], sum[kQueriesAtOnce];
  for (int s = 0; s < shape.num_sources; ++s) {
    Factors(work, shape, sizes.shares, share, s * kQueriesAtOnce, args.inputs.mix[s],
            factors + s * kQueriesAtOnce, largest, sum);
    if (share == 0) {
      float* to = args.softmax + (s * shape.batch + group.image) * shape.positions + group.begin;
      std::memcpy(to, largest, group.count * sizeof(float));
      std::memcpy(to + shape.num_sources * shape.batch * shape.positions, sum,
                  group.count * sizeof(float));
    }
  }
  float* const results = work.results + share * sizes.value_panels * kGroupPanel;
  for (int64_t k = 0; k < sizes.rows; k += kStretch) {
    const int64_t rows = sizes.rows - k < kStretch ? sizes.rows - k : kStretch;
    const auto product = k == 0 ? TransposedProduct<false> : TransposedProduct<true>;
    for (int64_t p = 0; p < group.panels(); ++p) {
      float* affinities = AffinityPanel(work, sizes, 0, p, share) + k * kPanel;
      Mix(shape, sizes, factors + p * kPanel, rows, affinities);
      for (int64_t w = 0; w < sizes.value_panels; ++w) {
        product(affinities, ValuePanels(work.values, sizes, share) + (w * sizes.keys + k) * kPanel,
                rows, results + w * kGroupPanel + p * kTile);
      }
    }
  }
}

void StoreResults(const AffinityDiffusionArgs& args, const DiffusionGroup& group,
                  const DiffusionWork& work) {
  const DiffusionShape& shape = args.inputs.shape;
  const DiffusionSizes sizes(shape);
  const int64_t floats = sizes.value_panels * kGroupPanel;
  AddShares(work.results, floats, sizes.shares, floats);
  WithType(shape.type, [&](auto type) {
    using Type = decltype(type);
    const int64_t place = (group.image * shape.positions + group.begin) * shape.value_channels;
    FromPanels<Type>(work.results, kGroupPanel, group.count, shape.value_channels,
                     static_cast<typename Type::Element*>(args.results) + place);
  });
}

}  // namespace MTL_ISA
}  // namespace mtl
