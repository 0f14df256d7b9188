// GradDrop on the GPU: every element is read once (up to eight tasks) and written once.
#include "kernels/cuda/device_float.cuh"
#include "kernels/cuda/tensor_pack.cuh"
#include "kernels/gradients/grad_drop.h"

namespace mtl {
namespace {

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
  const float threshold = (uniform + uniform - 1.0f) * magnitude;
  const bool keep_positive = sum > threshold, keep_negative = sum < threshold;
  float direction = 0;
  for (int k = 0; k < num_tasks; ++k) {
    const float g = gradient(k);
    const bool keep = (keep_positive && g > 0) || (keep_negative && g < 0);
    direction += (leak[k] + (keep ? 1.0f - leak[k] : 0.0f)) * g;  // NaN and infinity pass
  }
  return direction;
}

template <typename T, int K>
__global__ void __launch_bounds__(kThreads)
    GradDropKernel(const __grid_constant__ TensorPack pack, const float* leak) {
  constexpr int kVector = Vector<T>::kSize;
  constexpr int kHeld = K > 0 ? K : 1;
  __shared__ float leaks[kMaxTasks];
  const int num_tasks = K > 0 ? K : pack.num_tasks;
  for (int k = threadIdx.x; k < num_tasks; k += kThreads) leaks[k] = leak[k];
  __syncthreads();
  for (int c = blockIdx.x; c < pack.num_chunks; c += gridDim.x) {
    const Chunk chunk = ChunkAt(pack, c);
    T* result = chunk.Result<T>();
    const float* uniform = chunk.Uniform();
    const auto one_by_one = [&](int e) {
      result[e] = FromFloat<T>(Direction(num_tasks, leaks, uniform[e], [&](int k) {
        const T* row = chunk.Row<T>(k);
        return row == nullptr ? 0.0f : ToFloat(row[e]);
      }));
    };
    if (!chunk.is_whole || K == 0) {
      for (int e = threadIdx.x; e < chunk.count; e += kThreads) one_by_one(e);
      continue;
    }
    for (int e = threadIdx.x * kVector; e < kChunkElements; e += kThreads * kVector) {
      Vector<T> vectors[kHeld];
#pragma unroll
      for (int k = 0; k < kHeld; ++k) {
        const T* row = chunk.Row<T>(k);
        vectors[k] = row == nullptr ? Vector<T>::Zero() : Vector<T>::Load(row + e);
      }
      float numbers[kVector];
#pragma unroll
      for (int n = 0; n < kVector; n += 4) {
        const Vector<float> four = Vector<float>::Load(uniform + e + n);
#pragma unroll
        for (int m = 0; m < 4; ++m) numbers[n + m] = four.elements[m];
      }
      Vector<T> directions;
#pragma unroll
      for (int n = 0; n < kVector; ++n) {
        float values[kHeld];
#pragma unroll
        for (int k = 0; k < kHeld; ++k) values[k] = ToFloat(vectors[k].elements[n]);
        float sum = 0, magnitude = 0;
#pragma unroll
        for (int k = 0; k < kHeld; ++k) {
          sum += values[k];
          magnitude += fabsf(values[k]);
        }
        const float threshold = (numbers[n] + numbers[n] - 1.0f) * magnitude;
        float direction = 0;
#pragma unroll
        for (int k = 0; k < kHeld; ++k) {
          const bool keep =
              (sum > threshold && values[k] > 0) || (sum < threshold && values[k] < 0);
          direction += (leaks[k] + (keep ? 1.0f - leaks[k] : 0.0f)) * values[k];
        }
        directions.elements[n] = FromFloat<T>(direction);
      }
      directions.Store(result + e);
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
