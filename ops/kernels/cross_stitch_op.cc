// CrossStitch and CrossStitchGrad in the table.
//
// inputs: K features, for Grad K gradients of the results, weights [K, K, C] float32
// results: K maps; or K gradients and the gradient of the weights
#include "kernels/feature_calls.h"
#include "kernels/features/cross_stitch.h"

namespace mtl {
namespace {

class StitchCall : public PreparedCall {
 protected:
  Error ReadStitch(const CallSpec& spec, size_t num_tasks, size_t num_maps) {
    std::vector<MapShape> maps;
    if (Error error = ReadMaps(spec, "features", 0, num_maps, &maps)) return error;
    if (spec.inputs.back().dtype != DType::float32) return "weights: expected float32";
    const std::vector<MapShape> features(maps.begin(), maps.begin() + num_tasks);
    if (Error error = CheckCrossStitch(features, spec.inputs.back().dims)) return error;
    shape_ = maps[0];
    dtype_ = spec.inputs[0].dtype;
    num_tasks_ = static_cast<int>(num_tasks);
    results_ = LikeInputs(spec, 0, num_tasks);
    return CheckAlike("features", maps, maps[0]);
  }

  template <typename Args>
  Args ArgumentsOf(const Buffers& buffers) const {
    Args args{};
    args.num_positions = shape_.positions;
    args.num_channels = shape_.channels;
    args.type = dtype_;
    args.num_tasks = num_tasks_;
    args.weights = static_cast<const float*>(buffers.inputs.back());
    args.features = buffers.inputs.data();
    return args;
  }

  MapShape shape_;
  DType dtype_ = DType::float32;
  int num_tasks_ = 0;
};

class CrossStitchCall final : public StitchCall {
 public:
  Error Read(const CallSpec& spec) {
    if (spec.inputs.size() < 2) return "features: expected at least one map";
    return ReadStitch(spec, spec.inputs.size() - 1, spec.inputs.size() - 1);
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    CrossStitch(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_ON_CUDA(CrossStitchCuda(Arguments(buffers), stream))

 private:
  CrossStitchArgs Arguments(const Buffers& buffers) const {
    auto args = ArgumentsOf<CrossStitchArgs>(buffers);
    args.results = buffers.results.data();
    return args;
  }
};

class CrossStitchGradCall final : public StitchCall {
 public:
  Error Read(const CallSpec& spec) {
    if (spec.inputs.size() < 3 || spec.inputs.size() % 2 == 0) {
      return "upstream: expected as many maps as features";
    }
    const size_t num_tasks = (spec.inputs.size() - 1) / 2;
    if (Error error = ReadStitch(spec, num_tasks, 2 * num_tasks)) return error;
    results_.push_back(spec.inputs.back());
    return {};
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    CrossStitchGrad(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_CUDA_WORKSPACE(CrossStitchGradWorkspaceSize(shape_.positions, shape_.channels, num_tasks_))
  MTL_ON_CUDA(CrossStitchGradCuda(Arguments(buffers), workspace, stream))

 private:
  CrossStitchGradArgs Arguments(const Buffers& buffers) const {
    auto args = ArgumentsOf<CrossStitchGradArgs>(buffers);
    args.upstream = buffers.inputs.data() + num_tasks_;
    args.gradients = buffers.results.data();
    args.weight_gradients = static_cast<float*>(buffers.results.back());
    return args;
  }
};

}  // namespace

std::vector<Op> CrossStitchOps() {
  return {
      {"CrossStitch", Prepare<CrossStitchCall>, false},
      {"CrossStitchGrad", Prepare<CrossStitchGradCall>, true},
  };
}

}  // namespace mtl
