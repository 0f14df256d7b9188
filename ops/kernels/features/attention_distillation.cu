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

// exp(-|x|) and 1 / (1 + exp(-|x|)), of which the logistic function and its slope are made.
// Elements of sixteen bits are rounded by more than the device's fast functions are off.
template <typename T>
struct Exponential {
  float e, inverse;

  __device__ explicit Exponential(float x) {
    e = sizeof(T) == 2 ? __expf(-fabsf(x)) : expf(-fabsf(x));
    inverse = __fdividef(1.0f, 1.0f + e);
  }
  __device__ float Logistic(float x) const { return x < 0 ? e * inverse : inverse; }
  __device__ float Slope() const { return e * inverse * inverse; }
};

// The maps of a launch: [positions, channels] of one target.
struct DeviceShape {
  int64_t positions, channels;
  MapTiles tiles;
};

// Calls `f(VectorSize<n>, position, channel)` for the vectors of this thread. Dense maps are one
// row.
template <int kSize, bool kDense, typename Function>
__device__ inline void ForEachVector(const DeviceShape& shape, const Function& f) {
  if constexpr (kDense) {
    ForEachDenseVector<kSize>(shape.positions * shape.channels,
                              [&](auto size, int64_t place) { f(size, int64_t{0}, place); });
  } else {
    const MapThread thread(shape.tiles, kSize);
    if (!thread.is_used) return;
    for (int64_t p = thread.first; p < shape.positions; p += thread.step) {
      f(VectorSize<kSize>{}, p, static_cast<int64_t>(thread.column));
    }
  }
}

template <typename T, int kSize, bool kDense>
__global__ void __launch_bounds__(kMapThreads)
    DistillKernel(const __grid_constant__ DeviceMessages messages, DeviceShape shape,
                  const T* features, T* results) {
  ForEachVector<kSize, kDense>(shape, [&](auto size, int64_t p, int64_t c) {
    constexpr int kElements = decltype(size)::value;
    using Elements = Vector<T, kElements>;
    float sums[kElements];
    Elements::Load(features + p * shape.channels + c).Unpack(sums);
#pragma unroll 2
    for (int m = 0; m < messages.count; ++m) {
      float gate[kElements], value[kElements];
      Elements::Load(static_cast<const T*>(messages.gates[m]) + p * messages.gate_strides[m] + c)
          .Unpack(gate);
      Elements::Load(static_cast<const T*>(messages.values[m]) + p * messages.value_strides[m] + c)
          .Unpack(value);
#pragma unroll
      for (int n = 0; n < kElements; ++n) {
        sums[n] += Exponential<T>(gate[n]).Logistic(gate[n]) * value[n];
      }
    }
    Elements::Of(sums).Store(results + p * shape.channels + c);
  });
}

template <typename T, int kSize, bool kDense>
__global__ void __launch_bounds__(kMapThreads)
    DistillGradKernel(const __grid_constant__ DeviceMessages messages, DeviceShape shape,
                      const T* upstream) {
  ForEachVector<kSize, kDense>(shape, [&](auto size, int64_t p, int64_t c) {
    constexpr int kElements = decltype(size)::value;
    using Elements = Vector<T, kElements>;
    float given[kElements];
    Elements::Load(upstream + p * shape.channels + c).Unpack(given);
#pragma unroll 2
    for (int m = 0; m < messages.count; ++m) {
      const int64_t gate_place = p * messages.gate_strides[m] + c;
      const int64_t value_place = p * messages.value_strides[m] + c;
      float gate[kElements], value[kElements];
      Elements::Load(static_cast<const T*>(messages.gates[m]) + gate_place).Unpack(gate);
      Elements::Load(static_cast<const T*>(messages.values[m]) + value_place).Unpack(value);
#pragma unroll
      for (int n = 0; n < kElements; ++n) {
        const Exponential<T> exponential(gate[n]);
        const float logistic = exponential.Logistic(gate[n]);
        gate[n] = given[n] * value[n] * exponential.Slope();
        value[n] = given[n] * logistic;
      }
      Elements::Of(gate).Store(static_cast<T*>(messages.gate_gradients[m]) + gate_place);
      Elements::Of(value).Store(static_cast<T*>(messages.value_gradients[m]) + value_place);
    }
  });
}

// How the maps of a target may be walked.
struct Walk {
  bool is_dense;  // each map one row, from an address that fits vectors
  bool fits;      // rows of whole vectors
};

// The messages to a target, and how to walk its maps with vectors of `size` elements.
template <typename T, typename Args>
DeviceMessages MessagesTo(const Args& args, int target, void* const* gradients, int size,
                          Walk* walk) {
  DeviceMessages messages = {};
  const auto place = [&](const void* map, const Channels& part) -> const T* {
    const T* first = static_cast<const T*>(map) + part.first;
    const bool is_aligned = IsAlignedFor(first, size);
    walk->is_dense = walk->is_dense && is_aligned && part.stride == args.num_channels;
    walk->fits = walk->fits && is_aligned && part.stride % size == 0;
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

// Calls `launch(target, messages, vector, is_dense)` for every target, `vector` naming the elements
// of a vector, `is_dense` a std::bool_constant.
template <typename T, typename Args, typename Launch>
CudaStatus ForEachTarget(const Args& args, const void* const* inputs, void* const* results,
                         void* const* gradients, const Launch& launch) {
  constexpr int kSize = Vector<T>::kSize;
  for (int t = 0; t < args.num_targets; ++t) {
    const bool is_aligned =
        IsAlignedFor(static_cast<const T*>(inputs[t]), kSize) &&
        (results == nullptr || IsAlignedFor(static_cast<const T*>(results[t]), kSize));
    Walk walk = {is_aligned, is_aligned && args.num_channels % kSize == 0};
    const DeviceMessages messages = MessagesTo<T>(args, t, gradients, kSize, &walk);
    const CudaStatus status =
        walk.is_dense ? launch(t, messages, VectorSize<kSize>{}, std::true_type{})
        : walk.fits   ? launch(t, messages, VectorSize<kSize>{}, std::false_type{})
                      : launch(t, messages, VectorSize<1>{}, std::false_type{});
    if (status != 0) return status;
  }
  return 0;
}

// Blocks of a kernel for the maps of a target.
template <int kSize, bool kDense, typename Kernel>
dim3 GridFor(Kernel kernel, const DeviceShape& shape) {
  if (kDense) return dim3(DenseBlocks(kernel, shape.positions * shape.channels / kSize));
  return shape.tiles.Grid(kernel, shape.positions, kMostMapBlocks);
}

template <typename Args>
DeviceShape ShapeOf(const Args& args, int size) {
  return {args.num_positions, args.num_channels,
          MapTiles::Of(args.num_channels, size, kMapThreads)};
}

}  // namespace

CudaStatus AttentionDistillationCuda(const AttentionDistillationArgs& args, CudaStream stream) {
  if (args.num_positions * args.num_channels == 0) return 0;
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto launch = [&](int t, const DeviceMessages& messages, auto vector,
                            auto is_dense) -> CudaStatus {
      constexpr int kSize = decltype(vector)::value;
      constexpr bool kDense = decltype(is_dense)::value;
      constexpr auto kernel = DistillKernel<T, kSize, kDense>;
      const DeviceShape shape = ShapeOf(args, kSize);
      kernel<<<GridFor<kSize, kDense>(kernel, shape), kMapThreads, 0,
               static_cast<cudaStream_t>(stream)>>>(messages, shape,
                                                    static_cast<const T*>(args.features[t]),
                                                    static_cast<T*>(args.results[t]));
      return cudaGetLastError();
    };
    return ForEachTarget<T>(args, args.features, args.results, nullptr, launch);
  });
}

CudaStatus AttentionDistillationGradCuda(const AttentionDistillationGradArgs& args,
                                         CudaStream stream) {
  if (args.num_positions * args.num_channels == 0) return 0;
  return WithDeviceType(args.type, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto launch = [&](int t, const DeviceMessages& messages, auto vector,
                            auto is_dense) -> CudaStatus {
      constexpr int kSize = decltype(vector)::value;
      constexpr bool kDense = decltype(is_dense)::value;
      constexpr auto kernel = DistillGradKernel<T, kSize, kDense>;
      const DeviceShape shape = ShapeOf(args, kSize);
      kernel<<<GridFor<kSize, kDense>(kernel, shape), kMapThreads, 0,
               static_cast<cudaStream_t>(stream)>>>(messages, shape,
                                                    static_cast<const T*>(args.upstream[t]));
      return cudaGetLastError();
    };
    return ForEachTarget<T>(args, args.upstream, nullptr, args.gradients, launch);
  });
}

}  // namespace mtl
