// Attention-guided distillation (PAD-Net, Xu et al. 2018): messages through gates.
//
//   out_t = features_t + sum of sigmoid(gate) * value over the messages to target t
//
// Features and results are dense maps of N positions and C channels. A gate or value is C
// neighbouring channels of a source: a map of N positions with a stride of its own. All targets of
// a network are served by one call, so that the gradient of a source is written in one piece.
#pragma once

#include "kernels/cuda/stream.h"
#include "kernels/features/feature_maps.h"

namespace mtl {

constexpr int kMaxMessages = 16;  // to one target

// C channels of a source, `first` being the first of them, every `stride` elements.
struct Channels {
  int source;
  int64_t first;
  int64_t stride;
};

struct Message {
  Channels gate, value;
};

struct AttentionDistillationArgs {
  int64_t num_positions;        // N
  int64_t num_channels;         // C
  DType type;                   // of all maps
  int num_targets;              // T
  const int* first_message;     // [T + 1] into `messages`; at most kMaxMessages per target
  const Message* messages;      // ordered by target
  const void* const* sources;   // [M] maps of N positions
  const void* const* features;  // [T] `[N, C]`
  void* const* results;         // [T] `[N, C]`, overwritten
};

struct AttentionDistillationGradArgs {
  int64_t num_positions;
  int64_t num_channels;
  DType type;
  int num_targets;
  const int* first_message;
  const Message* messages;
  const void* const* sources;
  const void* const* upstream;  // [T] `[N, C]`: the gradients of the results
  void* const* gradients;       // [M] of the sources; only the messages' channels are written
};

void AttentionDistillation(const AttentionDistillationArgs& args, const ParallelFor& parallel_for);
void AttentionDistillationGrad(const AttentionDistillationGradArgs& args,
                               const ParallelFor& parallel_for);

#if defined(MTL_WITH_CUDA)
CudaStatus AttentionDistillationCuda(const AttentionDistillationArgs& args, CudaStream stream);
CudaStatus AttentionDistillationGradCuda(const AttentionDistillationGradArgs& args,
                                         CudaStream stream);
#endif

// The messages as adapters receive them: five numbers each, (target, gate's source, its first
// channel, value's source, its first channel), ordered by target.
class MessageTable {
 public:
  // An error unless messages and shapes fit together.
  template <typename Numbers>
  Error Set(const Numbers& numbers, int64_t num_targets, const MapShape& shape,
            const std::vector<MapShape>& sources) {
    constexpr int kNumbers = 5;
    if (num_targets < 1) return "features: expected at least one map, received none";
    if (numbers.size() % kNumbers != 0) return "messages: expected five numbers for each";
    for (size_t n = 0; n < sources.size(); ++n) {
      if (sources[n].positions != shape.positions) {
        return "sources: expected " + std::to_string(shape.positions) +
               " positions like the features, received " + sources[n].Text() + " at place " +
               std::to_string(n);
      }
    }
    first_message_.assign(num_targets + 1, 0);
    int64_t last_target = 0;
    for (size_t n = 0; n < numbers.size(); n += kNumbers) {
      const int64_t target = numbers[n];
      if (target < last_target || target >= num_targets) {
        return "messages: expected targets in order and below " + std::to_string(num_targets) +
               ", received " + std::to_string(target);
      }
      last_target = target;
      Message message;
      for (const int part : {0, 1}) {
        const int64_t source = numbers[n + 1 + 2 * part], first = numbers[n + 2 + 2 * part];
        if (source < 0 || source >= static_cast<int64_t>(sources.size())) {
          return "messages: expected a source below " + std::to_string(sources.size()) +
                 ", received " + std::to_string(source);
        }
        const int64_t stride = sources[source].channels;
        if (first < 0 || first > stride - shape.channels) {
          return "messages: expected " + std::to_string(shape.channels) + " channels of source " +
                 std::to_string(source) + ", which has " + std::to_string(stride) +
                 ", received the first channel " + std::to_string(first);
        }
        (part == 0 ? message.gate : message.value) = {static_cast<int>(source), first, stride};
      }
      messages_.push_back(message);
      if (++first_message_[target + 1] > kMaxMessages) {
        return "messages: expected at most " + std::to_string(kMaxMessages) + " to a target";
      }
    }
    for (int64_t t = 0; t < num_targets; ++t) first_message_[t + 1] += first_message_[t];
    return {};
  }

  // An error unless every channel of every source is in exactly one gate or value: then the
  // messages write the whole gradient.
  Error CheckPartition(int64_t num_channels, const std::vector<MapShape>& sources) const {
    std::vector<std::vector<int64_t>> starts(sources.size());
    for (const Message& message : messages_) {
      for (const Channels& part : {message.gate, message.value}) {
        starts[part.source].push_back(part.first);
      }
    }
    for (size_t n = 0; n < sources.size(); ++n) {
      std::sort(starts[n].begin(), starts[n].end());
      bool is_partition =
          sources[n].channels == num_channels * static_cast<int64_t>(starts[n].size());
      for (size_t i = 0; i < starts[n].size(); ++i) {
        is_partition = is_partition && starts[n][i] == static_cast<int64_t>(i) * num_channels;
      }
      if (!is_partition) {
        return "messages: expected each channel of source " + std::to_string(n) +
               " in exactly one gate or value";
      }
    }
    return {};
  }

  const int* first_message() const { return first_message_.data(); }
  const Message* messages() const { return messages_.data(); }

 private:
  std::vector<int> first_message_;
  std::vector<Message> messages_;
};

}  // namespace mtl
