// UpsampleCrossEntropy and UpsampleL1 in the table.
//
// inputs: predictions [B, h, w, C] float32, labels [B, H, W] int32 or targets [B, H, W, C] float32,
//   weights [B, H, W] float32
// results: loss [], gradient of the predictions
#include "kernels/features/upsampling/upsample_loss.h"
#include "kernels/op_table.h"

namespace mtl {
namespace {

class UpsamplingCall : public PreparedCall {
 protected:
  Error ReadUpsampling(const CallSpec& spec, DType target_type) {
    if (spec.inputs.size() != 3) return "expected predictions, targets and weights";
    const ArraySpec &small = spec.inputs[0], &targets = spec.inputs[1], &weights = spec.inputs[2];
    const bool has_labels = target_type == DType::int32;
    if (small.dtype != DType::float32 || weights.dtype != DType::float32) {
      return "predictions and weights: expected float32";
    }
    if (targets.dtype != target_type) {
      return has_labels ? "labels: expected int32" : "targets: expected float32";
    }
    if (small.dims.size() != 4) {
      return "predictions: expected [B, h, w, C], received " + Text(small.dims);
    }
    const Dims& large = weights.dims;
    if (large.size() != 3 || large[0] != small.dims[0]) {
      return "weights: expected [B, H, W] for predictions " + Text(small.dims) + ", received " +
             Text(large);
    }
    Dims expected = large;
    if (!has_labels) expected.push_back(small.dims[3]);
    if (targets.dims != expected) {
      return "targets: expected " + Text(expected) + ", received " + Text(targets.dims);
    }
    const bool has_targets = large[1] * large[2] > 0;
    if (has_targets && small.dims[1] * small.dims[2] * small.dims[3] == 0) {
      return "predictions: expected at least one position and channel, received " +
             Text(small.dims);
    }
    shape_.batch = small.dims[0];
    shape_.height = small.dims[1];
    shape_.width = small.dims[2];
    shape_.channels = small.dims[3];
    shape_.target_height = large[1];
    shape_.target_width = large[2];
    results_ = {{DType::float32, {}}, small};
    return {};
  }

  template <typename Args, typename Target>
  Args ArgumentsOf(const Buffers& buffers) const {
    Args args{};
    args.shape = shape_;
    args.predictions = static_cast<const float*>(buffers.inputs[0]);
    args.targets = static_cast<const Target*>(buffers.inputs[1]);
    args.weights = static_cast<const float*>(buffers.inputs[2]);
    args.loss = static_cast<float*>(buffers.results[0]);
    args.gradient = static_cast<float*>(buffers.results[1]);
    return args;
  }

  UpsampleShape shape_{};
};

class UpsampleCrossEntropyCall final : public UpsamplingCall {
 public:
  Error Read(const CallSpec& spec) { return ReadUpsampling(spec, DType::int32); }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    UpsampleCrossEntropy(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_CUDA_WORKSPACE(UpsampleWorkspaceSize(shape_))
  MTL_ON_CUDA(UpsampleCrossEntropyCuda(Arguments(buffers), workspace, stream))

 private:
  UpsampleCrossEntropyArgs Arguments(const Buffers& buffers) const {
    return ArgumentsOf<UpsampleCrossEntropyArgs, int32_t>(buffers);
  }
};

class UpsampleL1Call final : public UpsamplingCall {
 public:
  Error Read(const CallSpec& spec) { return ReadUpsampling(spec, DType::float32); }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    UpsampleL1(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_CUDA_WORKSPACE(UpsampleWorkspaceSize(shape_))
  MTL_ON_CUDA(UpsampleL1Cuda(Arguments(buffers), workspace, stream))

 private:
  UpsampleL1Args Arguments(const Buffers& buffers) const {
    return ArgumentsOf<UpsampleL1Args, float>(buffers);
  }
};

}  // namespace

std::vector<Op> UpsampleLossOps() {
  return {
      {"UpsampleCrossEntropy", Prepare<UpsampleCrossEntropyCall>, true},
      {"UpsampleL1", Prepare<UpsampleL1Call>, true},
  };
}

}  // namespace mtl
