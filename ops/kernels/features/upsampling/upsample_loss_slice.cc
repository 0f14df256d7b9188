// One band of a loss of enlarged predictions, compiled once per instruction set (cpu_dispatch.h).
//
// For each row of the targets the two rows of predictions around it are blended once; pixels then
// lie between two neighbours of that row. Gradients take the same way back. Rows are padded to
// whole vectors of channels.
#include "kernels/cpu/vector_math.h"
#include "kernels/features/upsampling/upsample_kernels.h"

namespace mtl {
namespace MTL_ISA {
namespace {

constexpr float kNone = -3e38f;  // what padding holds: its exponential is 0

// Vectors of C channels, padded.
inline int64_t NumVectors(int64_t channels) { return (channels + kLanes - 1) / kLanes; }

// A row of the targets between two rows of predictions.
struct Row {
  Between place;
  const float* predictions;  // of the image
  float* blended;            // [w, padded C]
  float* gradient;           // [w, padded C]
};

template <typename Args>
Row BlendRow(const Args& args, const UpsampleBand& band, const UpsampleSpace& space, int64_t y) {
  const UpsampleShape& shape = args.shape;
  const int64_t padded = PaddedChannels(shape.channels);
  const float scale = static_cast<float>(shape.height) / static_cast<float>(shape.target_height);
  Row row{PlaceOf(y, scale, shape.height),
          args.predictions + band.image * shape.height * shape.width * shape.channels, space.rows,
          space.rows + shape.width * padded};
  const float* above = row.predictions + row.place.lower * shape.width * shape.channels;
  const float* below = row.predictions + row.place.upper * shape.width * shape.channels;
  for (int64_t x = 0; x < shape.width; ++x) {
    float* to = row.blended + x * padded;
    int64_t c = 0;
    const float* a = above + x * shape.channels;
    const float* b = below + x * shape.channels;
    for (; c + kLanes <= shape.channels; c += kLanes) {
      const Floats first = Float32::Load(a, c);
      Float32::Store(to, c, first + row.place.fraction * (Float32::Load(b, c) - first));
    }
    for (; c < shape.channels; ++c) to[c] = a[c] + row.place.fraction * (b[c] - a[c]);
    for (; c < padded; ++c) to[c] = kNone;
  }
  std::memset(row.gradient, 0, shape.width * padded * sizeof(float));
  return row;
}

// Gives the gradient of a blended row to the two rows it came from.
template <typename Args>
void GiveBack(const Args& args, const UpsampleBand& band, const UpsampleSpace& space,
              const Row& row) {
  const UpsampleShape& shape = args.shape;
  const int64_t padded = PaddedChannels(shape.channels), channels = shape.channels;
  const float share[2] = {1.0f - row.place.fraction, row.place.fraction};
  const int64_t at[2] = {row.place.lower - band.first, row.place.upper - band.first};
  for (int side = 0; side < 2; ++side) {
    for (int64_t x = 0; x < shape.width; ++x) {
      float* to = space.gradient + (at[side] * shape.width + x) * channels;
      const float* from = row.gradient + x * padded;
      int64_t c = 0;
      for (; c + kLanes <= channels; c += kLanes) {
        Float32::Store(to, c, Float32::Load(to, c) + share[side] * Float32::Load(from, c));
      }
      for (; c < channels; ++c) to[c] += share[side] * from[c];
    }
  }
}

// -1, 0 or 1, without branches: errors are as often positive as negative. NaN passes.
inline float SignOf(float x) {
  const float sign = __builtin_copysignf(x != 0 ? 1.0f : 0.0f, x);
  return x == x ? sign : x;
}

}  // namespace

void UpsampleCrossEntropyKernel(const UpsampleCrossEntropyArgs& args, const UpsampleBand& band,
                                const UpsampleSpace& space, float scale) {
  const UpsampleShape& shape = args.shape;
  const int64_t padded = PaddedChannels(shape.channels);
  const int64_t end = NumVectors(shape.channels) * kLanes;
  double loss = 0;
  for (int64_t y = band.begin; y < band.end; ++y) {
    const Row row = BlendRow(args, band, space, y);
    const int64_t first = (band.image * shape.target_height + y) * shape.target_width;
    double row_loss = 0;
    for (int64_t x = 0; x < shape.target_width; ++x) {
      const float weight = args.weights[first + x];
      if (weight == 0) continue;
      const int32_t label = args.targets[first + x];
      if (label < 0 || label >= shape.channels) {
        row_loss += __builtin_nan("");
        continue;
      }
      const Between& place = space.columns[x];
      const float* left = row.blended + place.lower * padded;
      const float* right = row.blended + place.upper * padded;
      const auto logits = [&](int64_t c) {
        const Floats a = Float32::Load(left, c);
        return a + place.fraction * (Float32::Load(right, c) - a);
      };
      Floats largest = logits(0);
      for (int64_t c = kLanes; c < end; c += kLanes) {
        const Floats z = logits(c);
        largest = Select(z > largest, z, largest);
      }
      const float shift = LargestOf(largest);
      Floats sums = {};
      for (int64_t c = 0; c < end; c += kLanes) {
        const Floats e = Exp(logits(c) - shift);
        Float32::Store(space.exponentials, c, e);
        sums += e;
      }
      const float sum = SumOf(sums);
      const float own = left[label] + place.fraction * (right[label] - left[label]);
      row_loss += weight * (static_cast<double>(__builtin_logf(sum)) + (shift - own));
      const float factor = weight * scale / sum;
      float* to_left = row.gradient + place.lower * padded;
      float* to_right = row.gradient + place.upper * padded;
      const float right_share = place.fraction, left_share = 1.0f - place.fraction;
      for (int64_t c = 0; c < end; c += kLanes) {
        const Floats slope = factor * Float32::Load(space.exponentials, c);
        Float32::Store(to_left, c, Float32::Load(to_left, c) + left_share * slope);
        Float32::Store(to_right, c, Float32::Load(to_right, c) + right_share * slope);
      }
      to_left[label] -= left_share * (weight * scale);
      to_right[label] -= right_share * (weight * scale);
    }
    loss += row_loss;
    GiveBack(args, band, space, row);
  }
  *space.loss += loss;
}

void UpsampleL1Kernel(const UpsampleL1Args& args, const UpsampleBand& band,
                      const UpsampleSpace& space, float scale) {
  const UpsampleShape& shape = args.shape;
  const int64_t padded = PaddedChannels(shape.channels), channels = shape.channels;
  const float share = scale / static_cast<float>(channels);
  double loss = 0;
  for (int64_t y = band.begin; y < band.end; ++y) {
    const Row row = BlendRow(args, band, space, y);
    const int64_t first = (band.image * shape.target_height + y) * shape.target_width;
    double row_loss = 0;
    for (int64_t x = 0; x < shape.target_width; ++x) {
      const float weight = args.weights[first + x];
      if (weight == 0) continue;
      const Between& place = space.columns[x];
      const float* left = row.blended + place.lower * padded;
      const float* right = row.blended + place.upper * padded;
      const float* target = args.targets + (first + x) * channels;
      float* to_left = row.gradient + place.lower * padded;
      float* to_right = row.gradient + place.upper * padded;
      float error = 0;
      for (int64_t c = 0; c < channels; ++c) {
        const float difference = left[c] + place.fraction * (right[c] - left[c]) - target[c];
        error += __builtin_fabsf(difference);
        const float slope = weight * share * SignOf(difference);
        to_left[c] += (1.0f - place.fraction) * slope;
        to_right[c] += place.fraction * slope;
      }
      row_loss += static_cast<double>(weight) * error;
    }
    loss += row_loss;
    GiveBack(args, band, space, row);
  }
  *space.loss += loss / static_cast<double>(channels);
}

}  // namespace MTL_ISA
}  // namespace mtl
