// AffinityDiffusion and AffinityDiffusionGrad in the table.
//
// inputs: S queries and S keys [B, ..., D], values [B, ..., C], mix [S] float32; for Grad also
//   softmax and the gradient of the results
// results: [B, ..., C], softmax [2, S, B, N]; or gradients of queries, keys, values and mix
#include "kernels/feature_calls.h"
#include "kernels/features/affinity/affinity_diffusion.h"

namespace mtl {
namespace {

class DiffusionCall : public PreparedCall {
 protected:
  // `num_others`: inputs behind queries and keys.
  Error ReadDiffusion(const CallSpec& spec, size_t num_others) {
    if (spec.inputs.size() < num_others + 2 || (spec.inputs.size() - num_others) % 2 != 0) {
      return "queries: expected as many as keys, and at least one";
    }
    const size_t num_sources = (spec.inputs.size() - num_others) / 2;
    if (num_sources > kMaxAffinities) {
      return "queries: expected at most " + std::to_string(kMaxAffinities) + ", received " +
             std::to_string(num_sources);
    }
    std::vector<MapShape> maps;
    if (Error error = ReadMaps(spec, "queries", 0, 2 * num_sources + 1, &maps)) return error;
    for (size_t n = 0; n < maps.size(); ++n) {
      const bool is_values = n == 2 * num_sources;
      const Dims& dims = spec.inputs[n].dims;
      Dims expected = spec.inputs[0].dims;
      if (is_values) expected.back() = dims.back();
      if (dims.size() < 2 || dims != expected || dims.back() == 0) {
        return std::string(is_values ? "values" : "queries and keys") + ": expected " +
               Text(expected) + " of at least one channel, received " + Text(dims);
      }
    }
    const Dims one_per_source = {static_cast<int64_t>(num_sources)};
    const ArraySpec& mix = spec.inputs[2 * num_sources + 1];
    if (mix.dtype != DType::float32 || mix.dims != one_per_source) {
      return "mix: expected float32 " + Text(one_per_source) + ", received " + NameOf(mix.dtype) +
             " " + Text(mix.dims);
    }
    shape_.batch = spec.inputs[0].dims[0];
    shape_.positions = shape_.batch == 0 ? 0 : maps[0].positions / shape_.batch;
    shape_.query_channels = maps[0].channels;
    shape_.value_channels = maps.back().channels;
    shape_.num_sources = static_cast<int>(num_sources);
    shape_.type = spec.inputs[0].dtype;
    return {};
  }

  Dims SoftmaxDims() const { return {2, shape_.num_sources, shape_.batch, shape_.positions}; }

  DiffusionInputs InputsOf(const Buffers& buffers) const {
    DiffusionInputs inputs{};
    inputs.shape = shape_;
    inputs.queries = buffers.inputs.data();
    inputs.keys = buffers.inputs.data() + shape_.num_sources;
    inputs.values = buffers.inputs[2 * shape_.num_sources];
    inputs.mix = static_cast<const float*>(buffers.inputs[2 * shape_.num_sources + 1]);
    return inputs;
  }

  DiffusionShape shape_{};
};

class AffinityDiffusionCall final : public DiffusionCall {
 public:
  Error Read(const CallSpec& spec) {
    if (Error error = ReadDiffusion(spec, 2)) return error;
    results_ = {spec.inputs[2 * shape_.num_sources], {DType::float32, SoftmaxDims()}};
    return {};
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    AffinityDiffusion(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_ON_CUDA(AffinityDiffusionCuda(Arguments(buffers), stream))

 private:
  AffinityDiffusionArgs Arguments(const Buffers& buffers) const {
    AffinityDiffusionArgs args{};
    args.inputs = InputsOf(buffers);
    args.results = buffers.results[0];
    args.softmax = static_cast<float*>(buffers.results[1]);
    return args;
  }
};

class AffinityDiffusionGradCall final : public DiffusionCall {
 public:
  Error Read(const CallSpec& spec) {
    if (Error error = ReadDiffusion(spec, 4)) return error;
    const size_t values = spec.inputs.size() - 4;
    const ArraySpec &softmax = spec.inputs[values + 2], &upstream = spec.inputs[values + 3];
    if (Error error = Expect(softmax, "softmax", DType::float32, SoftmaxDims())) return error;
    const ArraySpec& like = spec.inputs[values];
    if (Error error = Expect(upstream, "upstream", like.dtype, like.dims)) return error;
    results_ = LikeInputs(spec, 0, values + 2);
    return {};
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    AffinityDiffusionGrad(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_CUDA_WORKSPACE(AffinityDiffusionGradWorkspaceSize(shape_))
  MTL_ON_CUDA(AffinityDiffusionGradCuda(Arguments(buffers), workspace, stream))

 private:
  AffinityDiffusionGradArgs Arguments(const Buffers& buffers) const {
    const int sources = shape_.num_sources;
    AffinityDiffusionGradArgs args{};
    args.inputs = InputsOf(buffers);
    args.softmax = static_cast<const float*>(buffers.inputs[2 * sources + 2]);
    args.upstream = buffers.inputs[2 * sources + 3];
    args.query_gradients = buffers.results.data();
    args.key_gradients = buffers.results.data() + sources;
    args.value_gradients = buffers.results[2 * sources];
    args.mix_gradients = static_cast<float*>(buffers.results[2 * sources + 1]);
    return args;
  }
};

}  // namespace

std::vector<Op> AffinityDiffusionOps() {
  return {
      {"AffinityDiffusion", Prepare<AffinityDiffusionCall>, false},
      {"AffinityDiffusionGrad", Prepare<AffinityDiffusionGradCall>, true},
  };
}

}  // namespace mtl
