// Attention-guided distillation on the GPU: every map is read once and written once.
#include <cuda_runtime_api.h>

#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/device_maps.cuh"
#include "kernels/features/attention_distillation.h"

namespace mtl {
namespace {

// The messages to one target; travels as a kernel parameter.
struct DeviceMessages {
  int count;
  const void* gates[kMaxMessages];
  const void* values[kMaxMessages];
  void* gate_gradients[kMaxMessages];
  void* value_gradients[kMaxMessages];
  int64_t gate_strides[kMaxMessages];
  int64_t value_strides[kMaxMessages];
};

__device__ inline float Logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

template <typename T, int kSize>
__global__ void __launch_bounds__(kMapThreads)
    DistillKernel(const __grid_constant__ DeviceMessages messages, int64_t positions,
                  int64_t channels, const T* features, T* results) {
  ForEachDeviceVector<kSize>(positions, channels, [&](int64_t p, int64_t c) {
    DeviceVector<T, kSize> sum;
    float sums[kSize];
    sum.Load(features + p * channels + c);
#pragma unroll
    for (int n = 0; n < kSize; ++n) sums[n] = ToFloat(sum.elements[n]);
    for (int m = 0; m < messages.count; ++m) {
      DeviceVector<T, kSize> gate, value;
      gate.Load(static_cast<const T*>(messages.gates[m]) + p * messages.gate_strides[m] + c);
      value.Load(static_cast<const T*>(messages.values[m]) + p * messages.value_strides[m] + c);
#pragma unroll
      for (int n = 0; n < kSize; ++n) {
        sums[n] += Logistic(ToFloat(gate.elements[n])) * ToFloat(value.elements[n]);
      }
    }
#pragma unroll
    for (int n = 0; n < kSize; ++n) sum.elements[n] = FromFloat<T>(sums[n]);
    sum.Store(results + p * channels + c);
  });
}

template <typename T, int kSize>
__global__ void __launch_bounds__(kMapThreads)
    DistillGradKernel(const __grid_constant__ DeviceMessages messages, int64_t positions,
                      int64_t channels, const T* upstream) {
  ForEachDeviceVector<kSize>(positions, channels, [&](int64_t p, int64_t c) {
    DeviceVector<T, kSize> u;
    u.Load(upstream + p * channels + c);
    for (int m = 0; m < messages.count; ++m) {
      const int64_t gate_place = p * messages.gate_strides[m] + c;
      const int64_t value_place = p * messages.value_strides[m] + c;
      DeviceVector<T, kSize> gate, value;
      gate.Load(static_cast<const T*>(messages.gates[m]) + gate_place);
      value.Load(static_cast<const T*>(messages.values[m]) + value_place);
#pragma unroll
      for (int n = 0; n < kSize; ++n) {
        const float x = ToFloat(gate.elements[n]);
        const float e = expf(-fabsf(x)), inverse = 1.0f / (1.0f + e);
        const float s = x < 0 ? e * inverse : inverse;
        const float given = ToFloat(u.elements[n]);
        gate.elements[n] =
            FromFloat<T>(given * ToFloat(value.elements[n]) * (e * inverse * inverse));
        value.elements[n] = FromFloat<T>(given * s);
      }
      gate.Store(static_cast<T*>(messages.gate_gradients[m]) + gate_place);
      value.Store(static_cast<T*>(messages.value_gradients[m]) + value_place);
    }
  });
}

// The messages to a target, and whether vectors of `size` elements fit all its maps.
template <typename T, typename Args>
DeviceMessages MessagesTo(const Args& args, int target, void* const* gradients, int size,
                          bool* fits) {
  DeviceMessages messages = {};
  const auto place = [&](const void* map, const Channels& part) -> const T* {
    const T* first = static_cast<const T*>(map) + part.first;
    *fits = *fits && part.stride % size == 0 && IsAlignedFor(first, size);
    return first;
  };
  for (int m = args.first_message[target]; m < args.first_message[target + 1]; ++m) {
    const Message& message = args.messages[m];
    const int n = messages.count++;
    messages.gates[n] = place(args.sources[message.gate.source], message.gate);
    messages.values[n] = place(args.sources[message.value.source], message.value);
    messages.gate_strides[n] = message.gate.stride;
    messages.value_strides[n] = message.value.stride;
    if (gradients == nullptr) continue;
    messages.gate_gradients[n] =
        const_cast<T*>(place(gradients[message.gate.source], message.gate));
    messages.value_gradients[n] =
        const_cast<T*>(place(gradients[message.value.source], message.value));
  }
  return messages;
}

// Calls `launch(target, messages, vector)` for every target, `vector` naming elements of a vector.
template <typename T, typename Args, typename Launch>
CudaStatus ForEachTarget(const Args& args, const void* const* inputs, void* const* results,
                         void* const* gradients, const Launch& launch) {
  constexpr int kSize = Vector<T>::kSize;
  for (int t = 0; t < args.num_targets; ++t) {
    bool fits = args.num_channels % kSize == 0 &&
                IsAlignedFor(static_cast<const T*>(inputs[t]), kSize) &&
                (results == nullptr || IsAlignedFor(static_cast<const T*>(results[t]), kSize));
    const DeviceMessages messages = MessagesTo<T>(args, t, gradients, kSize, &fits);
    const CudaStatus status =
        fits ? launch(t, messages, VectorSize<kSize>{}) : launch(t, messages, VectorSize<1>{});
    if (status != 0) return status;
  }
  return 0;
}

}  // namespace

CudaStatus AttentionDistillationCuda(const AttentionDistillationArgs& args, CudaStream stream) {
  if (args.num_positions * args.num_channels == 0) return 0;
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return ForEachTarget<T>(
        args, args.features, args.results, nullptr,
        [&](int t, const DeviceMessages& messages, auto vector) -> CudaStatus {
          constexpr int kSize = decltype(vector)::value;
          const int blocks = MapBlocks(args.num_positions * args.num_channels / kSize);
          DistillKernel<T, kSize><<<blocks, kMapThreads, 0, static_cast<cudaStream_t>(stream)>>>(
              messages, args.num_positions, args.num_channels,
              static_cast<const T*>(args.features[t]), static_cast<T*>(args.results[t]));
          return cudaGetLastError();
        });
  });
}

CudaStatus AttentionDistillationGradCuda(const AttentionDistillationGradArgs& args,
                                         CudaStream stream) {
  if (args.num_positions * args.num_channels == 0) return 0;
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return ForEachTarget<T>(args, args.upstream, nullptr, args.gradients,
                            [&](int t, const DeviceMessages& messages, auto vector) -> CudaStatus {
                              constexpr int kSize = decltype(vector)::value;
                              const int blocks =
                                  MapBlocks(args.num_positions * args.num_channels / kSize);
                              DistillGradKernel<T, kSize>
                                  <<<blocks, kMapThreads, 0, static_cast<cudaStream_t>(stream)>>>(
                                      messages, args.num_positions, args.num_channels,
                                      static_cast<const T*>(args.upstream[t]));
                              return cudaGetLastError();
                            });
  });
}

}  // namespace mtl
