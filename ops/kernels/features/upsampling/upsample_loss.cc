// Losses of enlarged predictions on the CPU: cuts the targets into bands of rows and adds up.
#include "kernels/features/upsampling/upsample_loss.h"

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "kernels/features/upsampling/upsample_kernels.h"

namespace mtl {
namespace {

constexpr int64_t kRowsPerBand = 64;  // of the targets, at least

// The bands of all images, each of several times the rows that one row of predictions covers.
std::vector<UpsampleBand> BandsOf(const UpsampleShape& shape) {
  std::vector<UpsampleBand> bands;
  const float scale = static_cast<float>(shape.height) / static_cast<float>(shape.target_height);
  const int64_t covered = 4 * (shape.target_height / std::max<int64_t>(shape.height, 1) + 1);
  const int64_t rows = std::max(kRowsPerBand, covered);
  for (int64_t image = 0; image < shape.batch; ++image) {
    for (int64_t begin = 0; begin < shape.target_height; begin += rows) {
      const int64_t end = std::min(begin + rows, shape.target_height);
      bands.push_back({image, begin, end, PlaceOf(begin, scale, shape.height).lower,
                       PlaceOf(end - 1, scale, shape.height).upper});
    }
  }
  return bands;
}

// The sum of the weights. Blocks of fixed size, so that it does not depend on the threads.
double SumOfWeights(const float* weights, int64_t count, const ParallelFor& parallel_for) {
  constexpr int64_t kBlock = 64 * 1024;
  std::vector<double> sums((count + kBlock - 1) / kBlock, 0.0);
  parallel_for(static_cast<int64_t>(sums.size()), kBlock / 2, [&](int64_t i) {
    double sum = 0;
    const int64_t end = std::min(count, (i + 1) * kBlock);
    for (int64_t e = i * kBlock; e < end; ++e) sum += weights[e];
    sums[i] = sum;
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

struct AlignedDelete {
  void operator()(float* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
};

template <typename Args, typename Kernel>
void Run(const Args& args, const ParallelFor& parallel_for, Kernel kernel) {
  const UpsampleShape& shape = args.shape;
  const int64_t row = shape.width * shape.channels;
  const int64_t image = shape.height * row;
  std::fill_n(args.gradient, shape.batch * image, 0.0f);
  const double total = SumOfWeights(
      args.weights, shape.batch * shape.target_height * shape.target_width, parallel_for);
  *args.loss = 0.0f;
  if (total == 0 || shape.batch * image == 0) return;
  std::vector<Between> columns(shape.target_width);
  const float scale = static_cast<float>(shape.width) / static_cast<float>(shape.target_width);
  for (int64_t x = 0; x < shape.target_width; ++x) columns[x] = PlaceOf(x, scale, shape.width);

  const std::vector<UpsampleBand> bands = BandsOf(shape);
  std::vector<std::vector<float>> gradients(bands.size());
  std::vector<double> losses(bands.size(), 0.0);
  const int64_t pixels = kRowsPerBand * shape.target_width;
  parallel_for(static_cast<int64_t>(bands.size()), pixels * (20 + shape.channels), [&](int64_t b) {
    const UpsampleBand& band = bands[b];
    const int64_t padded = PaddedChannels(shape.channels);
    gradients[b].assign((band.last - band.first + 1) * row, 0.0f);
    const std::unique_ptr<float[], AlignedDelete> rows(
        new (std::align_val_t{64}) float[(2 * shape.width + 1) * padded]());
    const UpsampleSpace space{columns.data(), rows.get(), rows.get() + 2 * shape.width * padded,
                              gradients[b].data(), &losses[b]};
    kernel(args, band, space, static_cast<float>(1.0 / total));
  });
  double loss = 0;
  for (size_t b = 0; b < bands.size(); ++b) {
    loss += losses[b];
    float* gradient = args.gradient + bands[b].image * image + bands[b].first * row;
    for (size_t e = 0; e < gradients[b].size(); ++e) gradient[e] += gradients[b][e];
  }
  *args.loss = static_cast<float>(loss / total);
}

}  // namespace

void UpsampleCrossEntropy(const UpsampleCrossEntropyArgs& args, const ParallelFor& parallel_for) {
  Run(args, parallel_for, MTL_SELECT_KERNEL(UpsampleCrossEntropyKernel));
}

void UpsampleL1(const UpsampleL1Args& args, const ParallelFor& parallel_for) {
  Run(args, parallel_for, MTL_SELECT_KERNEL(UpsampleL1Kernel));
}

}  // namespace mtl
