// Affinity diffusion on the CPU: cuts images into groups of queries and shares
// of keys.
#include "kernels/affinity_diffusion.h"

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "kernels/affinity_kernels.h"

namespace mtl {

DiffusionSizes::DiffusionSizes(const DiffusionShape& shape) {
  const auto round_up = [](int64_t n, int64_t to) { return (n + to - 1) / to * to; };
  rows = round_up((shape.positions + kMaxKeyShares - 1) / kMaxKeyShares, 2);
  shares = (shape.positions + rows - 1) / rows;
  keys = shares * rows;
  query_panels = round_up(shape.query_channels, kQueryPanel) / kQueryPanel;
  value_panels = round_up(shape.value_channels, kQueryPanel) / kQueryPanel;
}

namespace {

// Zeros, 64-byte aligned.
class Zeros {
 public:
  float* Take(int64_t count) {
    memory_.emplace_back(new (std::align_val_t{64}) float[count]);
    std::fill_n(memory_.back().get(), count, 0.0f);
    return memory_.back().get();
  }

 private:
  struct Delete {
    void operator()(float* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
  };
  std::vector<std::unique_ptr<float[], Delete>> memory_;
};

// A call: the images' work, and what is done to all of them at once.
class Diffusion {
 public:
  Diffusion(const DiffusionInputs& in, bool for_gradient, const ParallelFor& parallel_for)
      : in_(in), sizes_(in.shape), parallel_for_(parallel_for) {
    const int64_t sources = in.shape.num_sources;
    mix_gradients_.resize(in.shape.batch * sources, 0.0);
    for (int64_t image = 0; image < in.shape.batch; ++image) {
      work_.push_back(for_gradient ? WorkForGradient(mix_gradients_.data() + image * sources)
                                   : WorkForResults());
    }
    ForEachPart(sources + 1, sizes_.keys * width(), [&](int64_t image, int part) {
      MTL_SELECT_KERNEL(LoadKeys)(in_, image, part, work_[image]);
    });
  }

  const DiffusionSizes& sizes() const { return sizes_; }
  const DiffusionWork& work(int64_t image) const { return work_[image]; }
  const std::vector<double>& mix_gradients() const { return mix_gradients_; }
  int64_t width() const { return sizes_.query_panels * kQueryPanel; }
  int64_t channels() const { return sizes_.value_panels * kQueryPanel; }
  int64_t pairs() const { return kQueriesAtOnce * sizes_.rows; }  // of a group and a share

  // Calls f(image, part) for `parts` parts of every image, each of which multiplies `products`
  // numbers.
  template <typename Function>
  void ForEachPart(int64_t parts, int64_t products, const Function& f) const {
    const int64_t cost_ns = products / 50;  // at 50 multiplications a nanosecond
    parallel_for_(in_.shape.batch * parts, cost_ns, [&](int64_t n) { f(n / parts, n % parts); });
  }

  // Calls f for the groups of the images' queries, once these are loaded, with `upstream` if not
  // null. The groups are all images' that begin at the same query.
  template <typename Function>
  void ForEachGroup(const void* upstream, const Function& f) const {
    const int64_t positions = in_.shape.positions;
    for (int64_t q = 0; q < positions; q += kQueriesAtOnce) {
      const auto group = [=](int64_t image) -> DiffusionGroup {
        return {image, q, std::min(kQueriesAtOnce, positions - q)};
      };
      const int64_t parts = in_.shape.num_sources + (upstream != nullptr);
      ForEachPart(parts, kQueriesAtOnce * width() * 50, [&](int64_t image, int part) {
        MTL_SELECT_KERNEL(LoadQueries)(in_, upstream, group(image), part, work_[image]);
      });
      f(group);
    }
  }

 private:
  DiffusionWork CommonWork() {
    DiffusionWork work{};
    work.keys = zeros_.Take(sources() * sizes_.query_panels * key_panel());
    work.values = zeros_.Take(sizes_.value_panels * key_panel());
    work.queries = zeros_.Take(sources() * sizes_.query_panels * query_panel());
    work.queries_transposed = zeros_.Take(sources() * sizes_.query_panels * query_panel());
    work.affinities = zeros_.Take(sources() * kGroupPanels * key_panel());
    work.row_sums = zeros_.Take(sizes_.shares * 2 * sources() * kQueriesAtOnce);
    return work;
  }

  DiffusionWork WorkForResults() {
    DiffusionWork work = CommonWork();
    work.results = zeros_.Take(sizes_.shares * sizes_.value_panels * query_panel());
    return work;
  }

  DiffusionWork WorkForGradient(double* mix_gradients) {
    DiffusionWork work = CommonWork();
    work.results = zeros_.Take(sizes_.shares * sources() * sizes_.query_panels * query_panel());
    work.upstream = zeros_.Take(sizes_.value_panels * query_panel());
    work.upstream_transposed = zeros_.Take(sizes_.value_panels * query_panel());
    work.slopes = zeros_.Take(kGroupPanels * key_panel());
    work.key_gradients = zeros_.Take(sources() * sizes_.query_panels * key_panel());
    work.value_gradients = zeros_.Take(sizes_.value_panels * key_panel());
    work.mix_gradients = mix_gradients;
    return work;
  }

  int64_t sources() const { return in_.shape.num_sources; }
  int64_t key_panel() const { return sizes_.keys * kQueryPanel; }
  static int64_t query_panel() { return kQueriesAtOnce * kQueryPanel; }

  const DiffusionInputs& in_;
  const DiffusionSizes sizes_;
  const ParallelFor& parallel_for_;
  Zeros zeros_;
  std::vector<double> mix_gradients_;  // [B, S]
  std::vector<DiffusionWork> work_;
};

}  // namespace

void AffinityDiffusion(const AffinityDiffusionArgs& args, const ParallelFor& parallel_for) {
  const DiffusionShape& shape = args.inputs.shape;
  if (shape.batch * shape.positions == 0) return;
  const Diffusion all(args.inputs, false, parallel_for);
  const int64_t sources = shape.num_sources, shares = all.sizes().shares;
  all.ForEachGroup(nullptr, [&](const auto& group) {
    all.ForEachPart(
        shares, all.pairs() * sources * (all.width() + 16), [&](int64_t image, int64_t share) {
          MTL_SELECT_KERNEL(ScoreKeys)(args.inputs, group(image), share, all.work(image));
        });
    all.ForEachPart(shares, all.pairs() * (all.channels() + 4 * sources),
                    [&](int64_t image, int64_t share) {
                      MTL_SELECT_KERNEL(MixValues)(args, group(image), share, all.work(image));
                    });
    all.ForEachPart(1, kQueriesAtOnce * all.channels() * shares, [&](int64_t image, int64_t) {
      MTL_SELECT_KERNEL(StoreResults)(args, group(image), all.work(image));
    });
  });
}

void AffinityDiffusionGrad(const AffinityDiffusionGradArgs& args, const ParallelFor& parallel_for) {
  const DiffusionShape& shape = args.inputs.shape;
  const int64_t sources = shape.num_sources;
  std::fill_n(args.mix_gradients, sources, 0.0f);
  if (shape.batch * shape.positions == 0) return;
  const Diffusion all(args.inputs, true, parallel_for);
  const int64_t shares = all.sizes().shares, width = all.width(), channels = all.channels();
  all.ForEachGroup(args.upstream, [&](const auto& group) {
    all.ForEachPart(shares, all.pairs() * (channels + sources * (width + 16)),
                    [&](int64_t image, int64_t share) {
                      MTL_SELECT_KERNEL(SlopeKeys)(args, group(image), share, all.work(image));
                    });
    all.ForEachPart(shares, all.pairs() * (channels + sources * (2 * width + 8)),
                    [&](int64_t image, int64_t share) {
                      MTL_SELECT_KERNEL(MixGradients)(args, group(image), share, all.work(image));
                    });
    all.ForEachPart(sources, kQueriesAtOnce * width * shares, [&](int64_t image, int part) {
      MTL_SELECT_KERNEL(StoreQueryGradients)(args, group(image), part, all.work(image));
    });
  });
  all.ForEachPart(sources + 1, all.sizes().keys * width, [&](int64_t image, int part) {
    MTL_SELECT_KERNEL(StoreKeyGradients)(args, image, part, all.work(image));
  });
  for (int64_t s = 0; s < sources; ++s) {
    double sum = 0;
    for (int64_t image = 0; image < shape.batch; ++image) {
      sum += all.mix_gradients()[image * sources + s];
    }
    args.mix_gradients[s] = static_cast<float>(sum);
  }
}

}  // namespace mtl
