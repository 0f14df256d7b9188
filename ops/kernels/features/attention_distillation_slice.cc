// One piece of attention-guided distillation, compiled once per instruction set (cpu_dispatch.h).
#include "kernels/cpu/vector_math.h"
#include "kernels/features/feature_kernels.h"
#include "kernels/features/feature_vectors.h"

namespace mtl {
namespace MTL_ISA {
namespace {

// A target's messages, as addresses of the elements of position 0 and channel 0.
template <typename Type>
struct Rows {
  using Element = typename Type::Element;
  const Element* gates[kMaxMessages];
  const Element* values[kMaxMessages];
  int64_t gate_strides[kMaxMessages];
  int64_t value_strides[kMaxMessages];
  int count;

  template <typename Args>
  Rows(const Args& args, int target) : count(0) {
    for (int m = args.first_message[target]; m < args.first_message[target + 1]; ++m) {
      const Message& message = args.messages[m];
      gates[count] =
          static_cast<const Element*>(args.sources[message.gate.source]) + message.gate.first;
      values[count] =
          static_cast<const Element*>(args.sources[message.value.source]) + message.value.first;
      gate_strides[count] = message.gate.stride;
      value_strides[count++] = message.value.stride;
    }
  }
};

template <typename Type, typename Access>
void Distill(const AttentionDistillationArgs& args, const Piece& piece) {
  using Element = typename Type::Element;
  for (int t = 0; t < args.num_targets; ++t) {
    const Rows<Type> rows(args, t);
    const auto* features = static_cast<const Element*>(args.features[t]);
    auto* results = static_cast<Element*>(args.results[t]);
    ForEachVector<Type, Access>(piece, [&](auto access, int64_t p, int64_t c, int64_t n) {
      Floats sum = access.Load(features + p * args.num_channels, c, n);
      for (int m = 0; m < rows.count; ++m) {
        const Floats gate = access.Load(rows.gates[m] + p * rows.gate_strides[m], c, n);
        const Floats value = access.Load(rows.values[m] + p * rows.value_strides[m], c, n);
        sum += LogisticOf(gate).value * value;
      }
      access.Store(results + p * args.num_channels, c, n, sum);
    });
  }
}

template <typename Type, typename Access>
void DistillGrad(const AttentionDistillationGradArgs& args, const Piece& piece) {
  using Element = typename Type::Element;
  for (int t = 0; t < args.num_targets; ++t) {
    const Rows<Type> rows(args, t);
    Element* gate_gradients[kMaxMessages];
    Element* value_gradients[kMaxMessages];
    for (int m = 0; m < rows.count; ++m) {
      const Message& message = args.messages[args.first_message[t] + m];
      gate_gradients[m] =
          static_cast<Element*>(args.gradients[message.gate.source]) + message.gate.first;
      value_gradients[m] =
          static_cast<Element*>(args.gradients[message.value.source]) + message.value.first;
    }
    const auto* upstream = static_cast<const Element*>(args.upstream[t]);
    ForEachVector<Type, Access>(piece, [&](auto access, int64_t p, int64_t c, int64_t n) {
      const Floats u = access.Load(upstream + p * args.num_channels, c, n);
      for (int m = 0; m < rows.count; ++m) {
        const int64_t gate_row = p * rows.gate_strides[m], value_row = p * rows.value_strides[m];
        const Logistic gate = LogisticOf(access.Load(rows.gates[m] + gate_row, c, n));
        const Floats value = access.Load(rows.values[m] + value_row, c, n);
        access.Store(gate_gradients[m] + gate_row, c, n, u * value * gate.slope);
        access.Store(value_gradients[m] + value_row, c, n, u * gate.value);
      }
    });
  }
}

template <typename Type>
bool CanStreamPart(const AttentionDistillationGradArgs& args, const Channels& part,
                   const Piece& piece) {
  void* row = static_cast<typename Type::Element*>(args.gradients[part.source]) + part.first;
  return CanStream<Type>(&row, 1, part.stride, piece);
}

template <typename Type>
void Forward(const AttentionDistillationArgs& args, const Piece& piece, bool past_caches) {
  if (past_caches && CanStream<Type>(args.results, args.num_targets, args.num_channels, piece)) {
    Distill<Type, Streamed<Type>>(args, piece);
    return FinishStream();
  }
  Distill<Type, Whole<Type>>(args, piece);
}

template <typename Type>
void Backward(const AttentionDistillationGradArgs& args, const Piece& piece, bool past_caches) {
  bool can_stream = past_caches;
  for (int m = 0; m < args.first_message[args.num_targets] && can_stream; ++m) {
    const Message& message = args.messages[m];
    can_stream = CanStreamPart<Type>(args, message.gate, piece) &&
                 CanStreamPart<Type>(args, message.value, piece);
  }
  if (can_stream) {
    DistillGrad<Type, Streamed<Type>>(args, piece);
    return FinishStream();
  }
  DistillGrad<Type, Whole<Type>>(args, piece);
}

}  // namespace

void AttentionDistillationKernel(const AttentionDistillationArgs& args, const Piece& piece,
                                 bool past_caches) {
  WithType(args.type, [&](auto t) { Forward<decltype(t)>(args, piece, past_caches); });
}

void AttentionDistillationGradKernel(const AttentionDistillationGradArgs& args, const Piece& piece,
                                     bool past_caches) {
  WithType(args.type, [&](auto t) { Backward<decltype(t)>(args, piece, past_caches); });
}

}  // namespace MTL_ISA
}  // namespace mtl
