// Affinity diffusion on the CPU: makes panels, cuts the queries into shares, adds the shares' sums.
#include "kernels/affinity_diffusion.h"

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "kernels/affinity_kernels.h"

namespace mtl {
namespace {

// Shares of an image's queries: many for the results; few for the gradient, where each has sums of
// its own. Their number depends on the shape alone, and so do the results.
constexpr int64_t kResultShares = 16;
constexpr int64_t kGradientShares = 2;

// Memory for several arrays of floats, each 64-byte aligned.
class Floats {
 public:
  float* Take(int64_t count) {
    memory_.emplace_back(new (std::align_val_t{64}) float[std::max<int64_t>(count, 1)]);
    return memory_.back().get();
  }
  float* TakeZeros(int64_t count) {
    float* floats = Take(count);
    std::fill_n(floats, count, 0.0f);
    return floats;
  }

 private:
  struct Delete {
    void operator()(float* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
  };
  std::vector<std::unique_ptr<float[], Delete>> memory_;
};

struct Sizes {
  int64_t positions, width, channels;  // padded

  explicit Sizes(const DiffusionShape& shape)
      : positions(PaddedPositions(shape.positions)),
        width(PaddedPositions(shape.query_channels)),
        channels(PaddedPositions(shape.value_channels)) {}
};

int64_t NanosecondsFor(const DiffusionShape& shape, int64_t queries, int64_t products) {
  return queries * shape.positions * products / 50;  // at 50 multiplications a nanosecond
}

// Panels of every image; those of the gradient, or of the results.
std::vector<DiffusionPanels> MakePanels(const DiffusionShape& shape, const void* const* keys,
                                        const void* values, bool for_gradient,
                                        const ParallelFor& parallel_for, Floats* memory) {
  const Sizes padded(shape);
  std::vector<DiffusionPanels> images(shape.batch);
  for (DiffusionPanels& panels : images) {
    panels.keys_transposed =
        memory->Take(shape.num_sources * padded.positions * shape.query_channels);
    if (for_gradient) {
      panels.keys = memory->Take(shape.num_sources * padded.positions * padded.width);
      panels.values_transposed = memory->Take(padded.positions * shape.value_channels);
    } else {
      panels.values = memory->Take(padded.positions * padded.channels);
    }
  }
  const int64_t parts = shape.num_sources + 1;
  parallel_for(shape.batch * parts, shape.positions * padded.channels, [&](int64_t n) {
    const int64_t image = n / parts, part = n % parts;
    Floats rows;
    float* space = rows.Take(shape.positions * std::max(padded.width, padded.channels));
    MTL_SELECT_KERNEL(MakeDiffusionPanels)
    (shape, keys, values, image, static_cast<int>(part), images[image], space);
  });
  return images;
}

DiffusionRows MakeRows(const Sizes& padded, bool for_gradient, Floats* memory) {
  DiffusionRows rows{};
  rows.scores = memory->Take(kQueriesAtOnce * padded.positions);
  rows.total = memory->Take(kQueriesAtOnce * padded.positions);
  rows.queries = memory->Take(kQueriesAtOnce * padded.width);
  rows.upstream = memory->Take(kQueriesAtOnce * padded.channels);
  if (for_gradient) {
    rows.slopes = memory->Take(kQueriesAtOnce * padded.positions);
    rows.products = memory->Take(kQueriesAtOnce * padded.width);
    rows.panels = memory->Take(kQueriesAtOnce * (padded.width + padded.channels));
  }
  return rows;
}

// Queries [begin, end) of share i; whole groups of queries.
struct Share {
  int64_t begin, end;

  Share(int64_t i, int64_t shares, int64_t positions) {
    const int64_t groups = (positions + kQueriesAtOnce - 1) / kQueriesAtOnce;
    begin = std::min(i * groups / shares * kQueriesAtOnce, positions);
    end = std::min((i + 1) * groups / shares * kQueriesAtOnce, positions);
  }
};

}  // namespace

void AffinityDiffusion(const AffinityDiffusionArgs& args, const ParallelFor& parallel_for) {
  const DiffusionShape& shape = args.shape;
  if (shape.batch * shape.positions == 0) return;
  const Sizes padded(shape);
  Floats memory;
  const std::vector<DiffusionPanels> panels =
      MakePanels(shape, args.keys, args.values, false, parallel_for, &memory);
  const int64_t products = shape.num_sources * (shape.query_channels + 8) + shape.value_channels;
  const int64_t cost_ns = NanosecondsFor(shape, shape.positions / kResultShares, products);
  parallel_for(shape.batch * kResultShares, cost_ns, [&](int64_t n) {
    const int64_t image = n / kResultShares;
    const Share share(n % kResultShares, kResultShares, shape.positions);
    if (share.begin == share.end) return;
    Floats space;
    MTL_SELECT_KERNEL(DiffuseKernel)
    (args, image, share.begin, share.end, panels[image], MakeRows(padded, false, &space));
  });
}

void AffinityDiffusionGrad(const AffinityDiffusionGradArgs& args, const ParallelFor& parallel_for) {
  const DiffusionShape& shape = args.shape;
  std::fill_n(args.mix_gradients, shape.num_sources, 0.0f);
  if (shape.batch * shape.positions == 0) return;
  const Sizes padded(shape);
  const int64_t parts = shape.num_sources + 1;
  const int64_t key_sums = shape.num_sources * padded.positions * padded.width;
  const int64_t value_sums = padded.positions * padded.channels;
  const int64_t num_shares = shape.batch * kGradientShares;
  Floats memory;
  const std::vector<DiffusionPanels> panels =
      MakePanels(shape, args.keys, args.values, true, parallel_for, &memory);
  float* const keys = memory.TakeZeros(num_shares * key_sums);
  float* const values = memory.TakeZeros(num_shares * value_sums);
  std::vector<double> mixes(num_shares * shape.num_sources, 0.0);
  const int64_t products =
      3 * shape.num_sources * (shape.query_channels + 8) + 2 * shape.value_channels;
  const int64_t cost_ns = NanosecondsFor(shape, shape.positions / kGradientShares, products);
  parallel_for(num_shares, cost_ns, [&](int64_t n) {
    const int64_t image = n / kGradientShares;
    const Share share(n % kGradientShares, kGradientShares, shape.positions);
    if (share.begin == share.end) return;
    Floats space;
    const DiffusionSums sums{keys + n * key_sums, values + n * value_sums,
                             mixes.data() + n * shape.num_sources};
    MTL_SELECT_KERNEL(DiffuseGradKernel)
    (args, image, share.begin, share.end, panels[image], MakeRows(padded, true, &space), sums);
  });
  // The sums of an image's shares, into those of its first; then into the results.
  parallel_for(shape.batch * parts, key_sums, [&](int64_t n) {
    const int64_t image = n / parts, part = n % parts;
    const bool is_values = part == shape.num_sources;
    const int64_t stride = is_values ? padded.channels : padded.width;
    const int64_t width = is_values ? shape.value_channels : shape.query_channels;
    const int64_t count = padded.positions * stride, step = is_values ? value_sums : key_sums;
    float* const sum = (is_values ? values : keys + part * count) + image * kGradientShares * step;
    for (int64_t i = 1; i < kGradientShares; ++i) {
      const float* other = sum + i * step;
      for (int64_t e = 0; e < count; ++e) sum[e] += other[e];
    }
    void* const results = is_values ? args.value_gradients : args.key_gradients[part];
    MTL_SELECT_KERNEL(StoreRows)
    (shape.type, sum, stride, shape.positions, width,
     static_cast<char*>(results) + image * shape.positions * width * ElementBytes(shape.type));
  });
  for (int s = 0; s < shape.num_sources; ++s) {
    double sum = 0;
    for (int64_t n = 0; n < num_shares; ++n) sum += mixes[n * shape.num_sources + s];
    args.mix_gradients[s] = static_cast<float>(sum);
  }
}

}  // namespace mtl
