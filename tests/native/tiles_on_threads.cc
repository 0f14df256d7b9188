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
inline float ToFloat(_Float16 x) { return static_cast<float>(x); }
template <typename T>
T FromFloat(float x) {
  return static_cast<T>(x);
}
}  // namespace mtl

#include "kernels/features/affinity/affinity_tiles.h"

template <>
constexpr bool mtl::kHasUnits<_Float16> = true;

namespace {

constexpr int kThreads = 4;
constexpr int kSide = 32;
template <typename T>
using Numbers = std::vector<T>;

struct HostBlock {
  int thread;
  Barrier* barrier;

  template <typename Function>
  void For(int n, const Function& f) const {
    for (int i = thread; i < n; i += kThreads) f(i);
    barrier->Wait();
  }

  template <typename T>
  void Product(mtl::Factor<T> left, mtl::Factor<T> right, float* c) const {
    for (int cell = thread; cell < mtl::kProductCells; cell += kThreads) {
      mtl::ScalarProduct<T, kSide>(cell, left, right, c);
    }
    barrier->Wait();
  }
};

// Runs f(work) as a block.
template <typename T, typename Function>
void RunBlock(const mtl::ImageMaps<T>& maps, const Function& f) {
  Numbers<float> memory(mtl::Tiles<T, kSide>::kBytes / sizeof(float) + 1);
  Barrier barrier(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const mtl::Tiles<T, kSide> tiles(memory.data());
      const HostBlock block{t, &barrier};
      f(mtl::TileWork<T, kSide, HostBlock>(block, tiles, maps));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Scores are of about one size whatever the `reach` of the keys. A gradient (upstream) of 2^-13
// makes factors that are subnormal numbers of float16, and far keys make numbers of them that are
// none.
template <typename T>
struct Problem {
  int64_t n, width, channels;
  int sources;
  std::vector<Numbers<T>> queries, keys;
  Numbers<T> values, upstream;
  Numbers<float> mix;

  Problem(int64_t n, int64_t width, int64_t channels, int sources, float reach, float slope,
          std::mt19937* random)
      : n(n), width(width), channels(channels), sources(sources) {
    std::normal_distribution<float> normal;
    const auto make = [&](int64_t count, float scale) {
      Numbers<T> numbers(count);
      for (T& x : numbers) x = static_cast<T>(scale * normal(*random));
      return numbers;
    };
    for (int s = 0; s < sources; ++s) {
      queries.push_back(make(n * width, 1 / reach));
      keys.push_back(make(n * width, reach));
      mix.push_back(normal(*random));
    }
    values = make(n * channels, 1.0f);
    upstream = make(n * channels, slope);
  }
};

// Results, then gradients of queries, keys, values and mix.
template <typename T>
using Found = std::vector<Numbers<T>>;

template <typename T>
Found<double> ByDefinition(const Problem<T>& p) {
  Found<double> found(1 + 2 * p.sources + 2);
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
          scores[k] += double{p.queries[s][q * p.width + d]} * double{p.keys[s][k * p.width + d]};
        }
        for (int64_t c = 0; c < p.channels; ++c) {
          slopes[k] +=
              double{p.upstream[q * p.channels + c]} * double{p.values[k * p.channels + c]};
        }
      }
      const double largest = *std::max_element(scores.begin(), scores.end());
      for (double& x : scores) sum += x = std::exp(x - largest);
      for (int64_t k = 0; k < p.n; ++k) mean += (scores[k] /= sum) * slopes[k];
      found[2 + 2 * p.sources][s] += mean;
      for (int64_t k = 0; k < p.n; ++k) {
        const double share = p.mix[s] * scores[k], slope = share * (slopes[k] - mean);
        for (int64_t c = 0; c < p.channels; ++c) {
          found[0][q * p.channels + c] += share * double{p.values[k * p.channels + c]};
          found[1 + 2 * p.sources][k * p.channels + c] +=
              share * double{p.upstream[q * p.channels + c]};
        }
        for (int64_t d = 0; d < p.width; ++d) {
          found[1 + s][q * p.width + d] += slope * double{p.keys[s][k * p.width + d]};
          found[1 + p.sources + s][k * p.width + d] +=
              slope * double{p.queries[s][q * p.width + d]};
        }
      }
    }
  }
  return found;
}

template <typename T>
Found<double> ByTiles(const Problem<T>& p) {
  std::vector<const T*> queries, keys;
  Found<T> found(1 + 2 * p.sources + 1);
  for (int s = 0; s < p.sources; ++s) {
    queries.push_back(p.queries[s].data());
    keys.push_back(p.keys[s].data());
    found[1 + s].resize(p.n * p.width);
    found[1 + p.sources + s].resize(p.n * p.width);
  }
  found[0].resize(p.n * p.channels);
  found[1 + 2 * p.sources].resize(p.n * p.channels);
  Numbers<float> softmax(2 * p.sources * p.n), means(p.sources * p.n);
  const mtl::ImageMaps<T> maps{
      p.values.data(), p.upstream.data(), p.mix.data(), softmax.data(), means.data(), 0, 1, p.n,
      p.width,         p.channels,        p.sources};
  const auto for_tiles = [&](int64_t channels, const auto& f) {
    for (int64_t i = 0; i < p.n; i += kSide) {
      for (int64_t c = 0; c < channels; c += kSide) {
        RunBlock(maps, [&](const auto& work) { f(work, i, c); });
      }
    }
  };
  for_tiles(p.channels, [&](const auto& work, int64_t q, int64_t c) {
    work.Results(queries.data(), keys.data(), q, c, found[0].data(), softmax.data());
  });
  for (int s = 0; s < p.sources; ++s) {
    for_tiles(p.width, [&](const auto& work, int64_t q, int64_t d) {
      work.QueryGradients(s, queries[s], keys[s], q, d, found[1 + s].data());
    });
    for_tiles(p.width, [&](const auto& work, int64_t k, int64_t d) {
      work.KeyGradients(s, queries[s], keys[s], k, d, found[1 + p.sources + s].data());
    });
  }
  for_tiles(p.channels, [&](const auto& work, int64_t k, int64_t c) {
    work.ValueGradients(queries.data(), keys.data(), k, c, found[1 + 2 * p.sources].data());
  });
  Found<double> result;
  for (const auto& numbers : found) result.emplace_back(numbers.begin(), numbers.end());
  result.emplace_back();
  for (int s = 0; s < p.sources; ++s) {
    double sum = 0;
    for (int64_t q = 0; q < p.n; ++q) sum += means[s * p.n + q];
    result.back().push_back(sum);
  }
  return result;
}

// Whether all arrays are as defined, to `rounding` of their largest number and `least` besides.
template <typename T>
bool IsRight(const Problem<T>& problem, double rounding, double least) {
  const Found<double> expected = ByDefinition(problem), found = ByTiles(problem);
  for (size_t n = 0; n < expected.size(); ++n) {
    double largest = 0, error = 0;
    for (size_t e = 0; e < expected[n].size(); ++e) {
      largest = std::max(largest, std::abs(expected[n][e]));
      error = std::max(error, std::abs(expected[n][e] - found[n][e]));
    }
    if (error <= rounding * largest + least) continue;
    std::printf("%d positions, array %zu: error %g of %g\n", static_cast<int>(problem.n), n, error,
                largest);
    return false;
  }
  return true;
}

}  // namespace

int main() {
  std::mt19937 random(0);
  const int64_t sizes[][4] = {{1, 3, 2, 1}, {32, 32, 32, 2}, {70, 40, 33, 3}, {33, 5, 65, 1}};
  for (const auto& [n, width, channels, s] : sizes) {
    const int sources = static_cast<int>(s);
    // A gradient may be zero: that of the only position's score.
    const Problem<float> wide(n, width, channels, sources, 1.0f, 1.0f, &random);
    if (!IsRight(wide, 2e-5, 2e-5)) return 1;
    const Problem<_Float16> narrow(n, width, channels, sources, 64.0f, 0x1p-13f, &random);
    if (!IsRight(narrow, 1e-3, 0x1p-24)) return 1;
  }
  std::printf("tiles on threads: all as defined\n");
  return 0;
}
