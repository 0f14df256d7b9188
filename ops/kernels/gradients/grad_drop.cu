// GradDrop on the GPU: every element is read once (up to eight tasks, else twice) and written once.
#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/tensor_pack.cuh"
#include "kernels/gradients/grad_drop.h"

namespace mtl {
namespace {

// What is kept of one element: a part of the positive and a part of the negative gradients.
struct Sides {
  bool positive, negative;

  __device__ Sides(float sum, float magnitude, float uniform) {
    const float threshold = (uniform + uniform - 1.0f) * magnitude;
    positive = sum > threshold;
    negative = sum < threshold;
  }
  // Of one task's gradient, whose share `leak` is kept in any case. NaN and infinity pass.
  __device__ float Kept(float gradient, float leak) const {
    return ((gradient > 0 ? positive : negative) ? 1.0f : leak) * gradient;
  }
};

// The direction of one element; `gradient(k)` gives that of task k.
template <typename Gradient>
__device__ inline float Direction(int num_tasks, const float* leak, float uniform,
                                  const Gradient& gradient) {
  float sum = 0, magnitude = 0;
  for (int k = 0; k < num_tasks; ++k) {
    const float g = gradient(k);
    sum += g;
    magnitude += fabsf(g);
  }
  const Sides sides(sum, magnitude, uniform);
  float direction = 0;
  for (int k = 0; k < num_tasks; ++k) direction += sides.Kept(gradient(k), leak[k]);
  return direction;
}

// The directions of the elements of a vector; `load(k)` gives those of task k.
template <int K, typename T, typename Load>
__device__ inline Vector<T> Directions(int num_tasks, const float* leaks, const float* uniform,
                                       const Load& load) {
  constexpr int kVector = Vector<T>::kSize;
  Vector<T> held[K > 0 ? K : 1];
  float numbers[kVector], sums[kVector] = {}, magnitudes[kVector] = {}, directions[kVector] = {};
#pragma unroll
  for (int n = 0; n < kVector; n += 4) {
    float four[4];
    Vector<float>::Load(uniform + n).Unpack(four);
#pragma unroll
    for (int m = 0; m < 4; ++m) numbers[n + m] = four[m];
  }
#pragma unroll
  for (int k = 0; k < K; ++k) held[k] = load(k);
  const auto unpack = [&](int k, float (&values)[kVector]) {
    (K > 0 ? held[k] : load(k)).Unpack(values);
  };
#pragma unroll(K > 0 ? K : 4)
  for (int k = 0; k < num_tasks; ++k) {
    float row[kVector];
    unpack(k, row);
#pragma unroll
    for (int n = 0; n < kVector; ++n) {
      sums[n] += row[n];
      magnitudes[n] += fabsf(row[n]);
    }
  }
#pragma unroll(K > 0 ? K : 4)
  for (int k = 0; k < num_tasks; ++k) {
    float row[kVector];
    unpack(k, row);
#pragma unroll
    for (int n = 0; n < kVector; ++n) {
      directions[n] += Sides(sums[n], magnitudes[n], numbers[n]).Kept(row[n], leaks[k]);
    }
  }
  return Vector<T>::Of(directions);
}

template <typename T, int K>
__global__ void __launch_bounds__(kThreads)
    GradDropKernel(const __grid_constant__ TensorPack pack, const float* leak) {
  constexpr int kVector = Vector<T>::kSize;
  __shared__ float leaks[kMaxTasks];
  const int num_tasks = K > 0 ? K : pack.num_tasks;
  for (int k = threadIdx.x; k < num_tasks; k += kThreads) leaks[k] = leak[k];
  __syncthreads();
  for (int c = blockIdx.x; c < pack.num_chunks; c += gridDim.x) {
    const Chunk chunk = ChunkAt(pack, c);
    T* result = chunk.Result<T>();
    const float* uniform = chunk.Uniform();
    if (chunk.is_whole) {
      for (int e = threadIdx.x * kVector; e < kChunkElements; e += kThreads * kVector) {
        Directions<K, T>(num_tasks, leaks, uniform + e, [&](int k) {
          const T* row = chunk.Row<T>(k);
          return row == nullptr ? Vector<T>::Zero() : Vector<T>::Load(row + e);
        }).Store(result + e);
      }
    } else {
      for (int e = threadIdx.x; e < chunk.count; e += kThreads) {
        result[e] = FromFloat<T>(Direction(num_tasks, leaks, uniform[e], [&](int k) {
          const T* row = chunk.Row<T>(k);
          return row == nullptr ? 0.0f : ToFloat(row[e]);
        }));
      }
    }
  }
}

}  // namespace

CudaStatus GradDropCuda(const GradDropArgs& args, CudaStream stream) {
  return ForEachPack(args.gradients, args.directions, args.uniform, [&](const TensorPack& pack) {
    return WithDeviceType(args.gradients.type, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      return WithNumTasks(args.gradients.num_tasks, [&](auto k) -> CudaStatus {
        constexpr auto kernel = GradDropKernel<T, decltype(k)::value>;
        kernel<<<GridSize(kernel, pack.num_chunks), kThreads, 0,
                 static_cast<cudaStream_t>(stream)>>>(pack, args.leak);
        return cudaGetLastError();
      });
    });
  });
}

}  // namespace mtl
