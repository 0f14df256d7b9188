// Affinity diffusion on the CPU: cuts images into groups of queries and shares
// of keys.
#include "kernels/features/affinity/affinity_diffusion.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "kernels/cpu/scratch.h"
#include "kernels/features/affinity/affinity_kernels.h"

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

// Shares of an image's queries that are worked on independently, for the results.
constexpr int64_t kQueryShares = 16;

// A call: what there is of every image, and what is done to all of them at once.
class Diffusion {
 public:
  Diffusion(const DiffusionInputs& in, const ParallelFor& parallel_for)
      : in_(in), sizes_(in.shape), parallel_for_(parallel_for), work_(in.shape.batch) {
    for (DiffusionWork& work : work_) {
      work.keys = memory_.Take(sources() * sizes_.query_panels * key_panel());
      work.values = memory_.Take(sizes_.value_panels * key_panel());
    }
    ForEachPart(sources() + 1, sizes_.keys * width(), [&](int64_t image, int part) {
      MTL_SELECT_KERNEL(LoadKeys)(in_, image, part, work_[image]);
    });
  }

  const DiffusionSizes& sizes() const { return sizes_; }
  const DiffusionWork& work(int64_t image) const { return work_[image]; }
  int64_t width() const { return sizes_.query_panels * kQueryPanel; }
  int64_t channels() const { return sizes_.value_panels * kQueryPanel; }
  int64_t pairs() const { return kQueriesAtOnce * sizes_.rows; }  // of a group and a share

  // What groups of an image's queries need for the results, until it is given back.
  DiffusionWork TakeWorkForResults(int64_t image) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.empty()) {
      DiffusionWork work{};
      AddGroup(&work);
      work.results = memory_.Take(sizes_.shares * sizes_.value_panels * query_panel());
      idle_.push_back(work);
    }
    DiffusionWork work = idle_.back();
    idle_.pop_back();
    work.keys = work_[image].keys;
    work.values = work_[image].values;
    return work;
  }
  void GiveBack(const DiffusionWork& work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(work);
  }

  // What all groups of the images' queries, one after another, need for the gradient.
  void TakeWorkForGradient() {
    mix_gradients_.resize(work_.size() * sources(), 0.0);
    for (size_t image = 0; image < work_.size(); ++image) {
      DiffusionWork& work = work_[image];
      AddGroup(&work);
      work.results = memory_.Take(sizes_.shares * sources() * sizes_.query_panels * query_panel());
      work.upstream = memory_.Take(sizes_.value_panels * query_panel());
      work.upstream_transposed = memory_.Take(sizes_.value_panels * query_panel());
      work.slopes = memory_.Take(kGroupPanels * key_panel());
      work.key_gradients = memory_.Take(sources() * sizes_.query_panels * key_panel());
      work.value_gradients = memory_.Take(sizes_.value_panels * key_panel());
      work.mix_gradients = mix_gradients_.data() + image * sources();
    }
  }
  const std::vector<double>& mix_gradients() const { return mix_gradients_; }

  // Calls f(image, part) for `parts` parts of every image, each of which multiplies `products`
  // numbers.
  template <typename Function>
  void ForEachPart(int64_t parts, int64_t products, const Function& f) const {
    const int64_t cost_ns = products / 50;  // at 50 multiplications a nanosecond
    parallel_for_(in_.shape.batch * parts, cost_ns, [&](int64_t n) { f(n / parts, n % parts); });
  }

  // The number of groups of an image's queries, and one of them.
  int64_t num_groups() const { return (in_.shape.positions + kQueriesAtOnce - 1) / kQueriesAtOnce; }
  DiffusionGroup group(int64_t image, int64_t number) const {
    const int64_t begin = number * kQueriesAtOnce;
    return {image, begin, std::min(kQueriesAtOnce, in_.shape.positions - begin)};
  }

 private:
  void AddGroup(DiffusionWork* work) {
    work->queries = memory_.Take(sources() * sizes_.query_panels * query_panel());
    work->queries_transposed = memory_.Take(sources() * sizes_.query_panels * query_panel());
    work->affinities = memory_.Take(sources() * kGroupPanels * key_panel());
    work->row_sums = memory_.Take(sizes_.shares * 2 * sources() * kQueriesAtOnce);
  }

  int64_t sources() const { return in_.shape.num_sources; }
  int64_t key_panel() const { return sizes_.keys * kQueryPanel; }
  static int64_t query_panel() { return kQueriesAtOnce * kQueryPanel; }

  const DiffusionInputs& in_;
  const DiffusionSizes sizes_;
  const ParallelFor& parallel_for_;
  Scratch memory_;
  std::vector<double> mix_gradients_;  // [B, S]
  std::vector<DiffusionWork> work_;    // of every image
  std::mutex mutex_;
  std::vector<DiffusionWork> idle_;  // of no image
};

}  // namespace

void AffinityDiffusion(const AffinityDiffusionArgs& args, const ParallelFor& parallel_for) {
  const DiffusionShape& shape = args.inputs.shape;
  if (shape.batch * shape.positions == 0) return;
  Diffusion all(args.inputs, parallel_for);
  const int64_t products = shape.num_sources * (all.width() + 16) + all.channels();
  const int64_t share_of_queries = shape.positions / kQueryShares;
  all.ForEachPart(kQueryShares, share_of_queries * shape.positions * products,
                  [&](int64_t image, int64_t share) {
                    const int64_t begin = share * all.num_groups() / kQueryShares;
                    const int64_t end = (share + 1) * all.num_groups() / kQueryShares;
                    if (begin == end) return;
                    const DiffusionWork work = all.TakeWorkForResults(image);
                    for (int64_t number = begin; number < end; ++number) {
                      const DiffusionGroup group = all.group(image, number);
                      for (int s = 0; s < shape.num_sources; ++s) {
                        MTL_SELECT_KERNEL(LoadQueries)(args.inputs, nullptr, group, s, work);
                      }
                      for (int64_t i = 0; i < all.sizes().shares; ++i) {
                        MTL_SELECT_KERNEL(ScoreKeys)(args.inputs, group, i, work);
                      }
                      for (int64_t i = 0; i < all.sizes().shares; ++i) {
                        MTL_SELECT_KERNEL(MixValues)(args, group, i, work);
                      }
                      MTL_SELECT_KERNEL(StoreResults)(args, group, work);
                    }
                    all.GiveBack(work);
                  });
}

void AffinityDiffusionGrad(const AffinityDiffusionGradArgs& args, const ParallelFor& parallel_for) {
  const DiffusionShape& shape = args.inputs.shape;
  const int64_t sources = shape.num_sources;
  std::fill_n(args.mix_gradients, sources, 0.0f);
  if (shape.batch * shape.positions == 0) return;
  Diffusion all(args.inputs, parallel_for);
  all.TakeWorkForGradient();
  const int64_t shares = all.sizes().shares, width = all.width(), channels = all.channels();
  // All groups add to the gradients of all keys: one group at a time, a share of the keys a thread.
  for (int64_t number = 0; number < all.num_groups(); ++number) {
    all.ForEachPart(sources + 1, kQueriesAtOnce * width * 50, [&](int64_t image, int part) {
      MTL_SELECT_KERNEL(LoadQueries)
      (args.inputs, args.upstream, all.group(image, number), part, all.work(image));
    });
    all.ForEachPart(shares, all.pairs() * (channels + sources * (width + 16)),
                    [&](int64_t image, int64_t share) {
                      MTL_SELECT_KERNEL(SlopeKeys)(args, all.group(image, number), share,
                                                   all.work(image));
                    });
    all.ForEachPart(shares, all.pairs() * (channels + sources * (2 * width + 8)),
                    [&](int64_t image, int64_t share) {
                      MTL_SELECT_KERNEL(MixGradients)(args, all.group(image, number), share,
                                                      all.work(image));
                    });
    all.ForEachPart(sources, kQueriesAtOnce * width * shares, [&](int64_t image, int part) {
      MTL_SELECT_KERNEL(StoreQueryGradients)
      (args, all.group(image, number), part, all.work(image));
    });
  }
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
