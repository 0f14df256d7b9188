// AttentionDistillation and AttentionDistillationGrad in the table.
//
// inputs: T features (or the gradients of the results), then M sources
// numbers: T, then five for each message (attention_distillation.h)
// results: T maps; or the gradients of the M sources
#include "kernels/feature_calls.h"
#include "kernels/features/attention_distillation.h"

namespace mtl {
namespace {

class MessagesCall : public PreparedCall {
 protected:
  Error ReadMessages(const CallSpec& spec) {
    if (spec.numbers.empty() || spec.numbers[0] < 1) return "features: expected at least one map";
    num_targets_ = static_cast<size_t>(spec.numbers[0]);
    std::vector<MapShape> features;
    if (Error error = ReadMaps(spec, "features", 0, num_targets_, &features)) return error;
    if (Error error = CheckAlike("features", features, features[0])) return error;
    if (Error error = ReadMaps(spec, "sources", num_targets_, spec.inputs.size(), &sources_)) {
      return error;
    }
    shape_ = features[0];
    dtype_ = spec.inputs[0].dtype;
    const std::vector<int64_t> messages(spec.numbers.begin() + 1, spec.numbers.end());
    return messages_.Set(messages, spec.numbers[0], shape_, sources_);
  }

  // What the arguments of both kernels have in common.
  template <typename Args>
  Args ArgumentsOf(const Buffers& buffers) const {
    Args args{};
    args.num_positions = shape_.positions;
    args.num_channels = shape_.channels;
    args.type = dtype_;
    args.num_targets = static_cast<int>(num_targets_);
    args.first_message = messages_.first_message();
    args.messages = messages_.messages();
    args.sources = buffers.inputs.data() + num_targets_;
    return args;
  }

  size_t num_targets_ = 0;
  MapShape shape_;
  DType dtype_ = DType::float32;
  std::vector<MapShape> sources_;
  MessageTable messages_;
};

class AttentionDistillationCall final : public MessagesCall {
 public:
  Error Read(const CallSpec& spec) {
    if (Error error = ReadMessages(spec)) return error;
    results_ = LikeInputs(spec, 0, num_targets_);
    return {};
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    AttentionDistillation(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_ON_CUDA(AttentionDistillationCuda(Arguments(buffers), stream))

 private:
  AttentionDistillationArgs Arguments(const Buffers& buffers) const {
    auto args = ArgumentsOf<AttentionDistillationArgs>(buffers);
    args.features = buffers.inputs.data();
    args.results = buffers.results.data();
    return args;
  }
};

class AttentionDistillationGradCall final : public MessagesCall {
 public:
  Error Read(const CallSpec& spec) {
    if (Error error = ReadMessages(spec)) return error;
    results_ = LikeInputs(spec, num_targets_, spec.inputs.size());
    return messages_.CheckPartition(shape_.channels, sources_);
  }
  Error Run(const Buffers& buffers, const ParallelFor& parallel_for) const override {
    AttentionDistillationGrad(Arguments(buffers), parallel_for);
    return {};
  }
  MTL_ON_CUDA(AttentionDistillationGradCuda(Arguments(buffers), stream))

 private:
  AttentionDistillationGradArgs Arguments(const Buffers& buffers) const {
    auto args = ArgumentsOf<AttentionDistillationGradArgs>(buffers);
    args.upstream = buffers.inputs.data();
    args.gradients = buffers.results.data();
    return args;
  }
};

}  // namespace

std::vector<Op> AttentionDistillationOps() {
  return {
      {"AttentionDistillation", Prepare<AttentionDistillationCall>, false},
      {"AttentionDistillationGrad", Prepare<AttentionDistillationGradCall>, false},
  };
}

}  // namespace mtl
