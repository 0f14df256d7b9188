// What every TensorFlow adapter needs: the thread pool and the element type as kernels know them.
#pragma once

#include "kernels/gramian.h"
#include "kernels/parallel_for.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/lib/core/threadpool.h"

namespace mtl {

inline ParallelFor InjectThreadPool(::tensorflow::OpKernelContext* context) {
  const auto* workers = context->device()->tensorflow_cpu_worker_threads();
  return [workers](int64_t count, int64_t cost_ns, const std::function<void(int64_t)>& body) {
    workers->workers->ParallelFor(count, cost_ns, [&body](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) body(i);
    });
  };
}

inline GradientType ToGradientType(::tensorflow::DataType type) {
  if (type == ::tensorflow::DT_BFLOAT16) return GradientType::bfloat16;
  if (type == ::tensorflow::DT_HALF) return GradientType::float16;
  return GradientType::float32;
}

}  // namespace mtl
