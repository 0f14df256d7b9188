// The tiles of affinity diffusion as a block of the GPU runs them, on a machine without one:
// threads with barriers take the block's place. Under ThreadSanitizer (`make sanitize`) a missing
// synchronisation is an error; without, a result that differs from the definition's is one.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "barrier.h"

namespace mtl {
inline float ToFloat(float x) { return x; }
template <typename T>
T FromFloat(float x) {
  return x;
}
}  // namespace mtl

#include "kernels/affinity_tiles.h"

namespace {

constexpr int kThreads = 4;
constexpr int kSide = 32;
using Numbers = std::vector<float>;

struct HostBlock {
  int thread;
  Barrier* barrier;

  template <typename Function>
  void For(int n, const Function& f) const {
    for (int i = thread; i < n; i += kThreads) f(i);
    barrier->Wait();
  }

  void Product(mtl::Factor<float> left, mtl::Factor<float> right, float* c) const {
    for (int cell = thread; cell < mtl::kProductCells; cell += kThreads) {
      mtl::ScalarProduct<float, kSide>(cell, left, right, c);
    }
    barrier->Wait();
  }
};

using Work = mtl::TileWork<float, kSide, HostBlock>;

// Runs f(work) as a block.
template <typename Function>
void RunBlock(const mtl::ImageMaps<float>& maps, const Function& f) {
  Numbers memory(mtl::Tiles<float, kSide>::kBytes / sizeof(float) + 1);
  Barrier barrier(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const mtl::Tiles<float, kSide> tiles(memory.data());
      const HostBlock block{t, &barrier};
      f(Work(block, tiles, maps));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Problem {
  int64_t n, width, channels;
  int sources;
  std::vector<Numbers> queries, keys;
  Numbers values, upstream, mix;

  Problem(int64_t n, int64_t width, int64_t channels, int sources, std::mt19937* random)
      : n(n), width(width), channels(channels), sources(sources) {
    std::normal_distribution<float> normal;
    const auto make = [&](int64_t count) {
      Numbers numbers(count);
      for (float& x : numbers) x = normal(*random);
      return numbers;
    };
    for (int s = 0; s < sources; ++s) {
      queries.push_back(make(n * width));
      keys.push_back(make(n * width));
    }
    values = make(n * channels);
    upstream = make(n * channels);
    mix = make(sources);
  }
};

// Results, then gradients of queries, keys, values and mix.
using Found = std::vector<Numbers>;

Found ByDefinition(const Problem& p) {
  std::vector<std::vector<double>> found(1 + 2 * p.sources + 2);
  found[0].resize(p.n * p.channels);
  found[1 + 2 * p.sources].resize(p.n * p.channels);
  found[2 + 2 * p.sources].resize(p.sources);
  for (int s = 0; s < p.sources; ++s) {
    found[1 + s].resize(p.n * p.width);
    found[1 + p.sources + s].resize(p.n * p.width);
    for (int64_t q = 0; q < p.n; ++q) {
      std::vector<double> scores(p.n), slopes(p.n);
      double sum = 0, mean = 0;
      for (int64_t k = 0; k < p.n; ++k) {
        for (int64_t d = 0; d < p.width; ++d) {
          scores[k] += double{p.queries[s][q * p.width + d]} * p.keys[s][k * p.width + d];
        }
        for (int64_t c = 0; c < p.channels; ++c) {
          slopes[k] += double{p.upstream[q * p.channels + c]} * p.values[k * p.channels + c];
        }
      }
      const double largest = *std::max_element(scores.begin(), scores.end());
      for (double& x : scores) sum += x = std::exp(x - largest);
      for (int64_t k = 0; k < p.n; ++k) mean += (scores[k] /= sum) * slopes[k];
      found[2 + 2 * p.sources][s] += mean;
      for (int64_t k = 0; k < p.n; ++k) {
        const double share = p.mix[s] * scores[k], slope = share * (slopes[k] - mean);
        for (int64_t c = 0; c < p.channels; ++c) {
          found[0][q * p.channels + c] += share * p.values[k * p.channels + c];
          found[1 + 2 * p.sources][k * p.channels + c] += share * p.upstream[q * p.channels + c];
        }
        for (int64_t d = 0; d < p.width; ++d) {
          found[1 + s][q * p.width + d] += slope * p.keys[s][k * p.width + d];
          found[1 + p.sources + s][k * p.width + d] += slope * p.queries[s][q * p.width + d];
        }
      }
    }
  }
  Found result;
  for (const auto& numbers : found) result.emplace_back(numbers.begin(), numbers.end());
  return result;
}

Found ByTiles(const Problem& p) {
  std::vector<const float*> queries, keys;
  Found found(1 + 2 * p.sources + 2);
  for (int s = 0; s < p.sources; ++s) {
    queries.push_back(p.queries[s].data());
    keys.push_back(p.keys[s].data());
    found[1 + s].resize(p.n * p.width);
    found[1 + p.sources + s].resize(p.n * p.width);
  }
  found[0].resize(p.n * p.channels);
  found[1 + 2 * p.sources].resize(p.n * p.channels);
  Numbers softmax(2 * p.sources * p.n), means(p.sources * p.n);
  const mtl::ImageMaps<float> maps{
      p.values.data(), p.upstream.data(), p.mix.data(), softmax.data(), means.data(), 0, 1, p.n,
      p.width,         p.channels,        p.sources};
  const auto for_tiles = [&](int64_t channels, const auto& f) {
    for (int64_t i = 0; i < p.n; i += kSide) {
      for (int64_t c = 0; c < channels; c += kSide) {
        RunBlock(maps, [&](const Work& work) { f(work, i, c); });
      }
    }
  };
  for_tiles(p.channels, [&](const Work& work, int64_t q, int64_t c) {
    work.Results(queries.data(), keys.data(), q, c, found[0].data(), softmax.data());
  });
  for (int s = 0; s < p.sources; ++s) {
    for_tiles(p.width, [&](const Work& work, int64_t q, int64_t d) {
      work.QueryGradients(s, queries[s], keys[s], q, d, found[1 + s].data());
    });
    for_tiles(p.width, [&](const Work& work, int64_t k, int64_t d) {
      work.KeyGradients(s, queries[s], keys[s], k, d, found[1 + p.sources + s].data());
    });
  }
  for_tiles(p.channels, [&](const Work& work, int64_t k, int64_t c) {
    work.ValueGradients(queries.data(), keys.data(), k, c, found[1 + 2 * p.sources].data());
  });
  for (int s = 0; s < p.sources; ++s) {
    double sum = 0;
    for (int64_t q = 0; q < p.n; ++q) sum += means[s * p.n + q];
    found[2 + 2 * p.sources].push_back(static_cast<float>(sum));
  }
  return found;
}

}  // namespace

int main() {
  std::mt19937 random(0);
  const int64_t sizes[][4] = {{1, 3, 2, 1}, {32, 32, 32, 2}, {70, 40, 33, 3}, {33, 5, 65, 1}};
  for (const auto& size : sizes) {
    const Problem problem(size[0], size[1], size[2], static_cast<int>(size[3]), &random);
    const Found expected = ByDefinition(problem), found = ByTiles(problem);
    for (size_t n = 0; n < expected.size(); ++n) {
      float largest = 0, error = 0;
      for (size_t e = 0; e < expected[n].size(); ++e) {
        largest = std::max(largest, std::abs(expected[n][e]));
        error = std::max(error, std::abs(expected[n][e] - found[n][e]));
      }
      // A gradient may be zero: that of the only position's score.
      if (!(error <= 2e-5f * (largest + 1.0f))) {
        std::printf("%d positions, array %zu: error %g of %g\n", static_cast<int>(size[0]), n,
                    error, largest);
        return 1;
      }
    }
  }
  std::printf("tiles on threads: all as defined\n");
  return 0;
}
