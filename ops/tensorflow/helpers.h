// What the adapters in and outside of XLA share: threads, types, errors, the op behind a node.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/op_table.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"

namespace mtl {

namespace tf = ::tensorflow;

// A ParallelFor on a pool of `num_threads` threads that `schedule(work)` hands a piece of work to.
// All take the next index from one counter, so nobody waits for the slowest. The pool may have no
// thread to spare: the caller works as well, and waits only for pieces that a thread has started.
template <typename Schedule>
ParallelFor WorkTogether(int64_t num_threads, Schedule schedule) {
  return [num_threads, schedule](int64_t count, int64_t /*cost_ns*/,
                                 const std::function<void(int64_t)>& body) mutable {
    struct Shared {
      const std::function<void(int64_t)>* body;
      int64_t count;
      std::atomic<int64_t> next{0};
      std::mutex mutex;
      std::condition_variable all_done;
      int64_t done = 0;
    };
    auto shared = std::make_shared<Shared>();
    shared->body = &body;
    shared->count = count;
    const std::function<void()> work = [shared] {
      int64_t done = 0;
      for (int64_t i; (i = shared->next.fetch_add(1)) < shared->count; ++done) (*shared->body)(i);
      if (done == 0) return;
      std::lock_guard<std::mutex> lock(shared->mutex);
      shared->done += done;
      if (shared->done == shared->count) shared->all_done.notify_all();
    };
    const int64_t helpers = std::min(num_threads, count) - 1;
    for (int64_t h = 0; h < helpers; ++h) schedule(work);
    work();
    std::unique_lock<std::mutex> lock(shared->mutex);
    shared->all_done.wait(lock, [&] { return shared->done == shared->count; });
  };
}

struct DTypeRow {
  DType dtype;
  tf::DataType data_type;
};

constexpr DTypeRow kDTypes[] = {
    {DType::float32, tf::DT_FLOAT},  {DType::bfloat16, tf::DT_BFLOAT16},
    {DType::float16, tf::DT_HALF},   {DType::int32, tf::DT_INT32},
    {DType::float64, tf::DT_DOUBLE},
};

inline DType ToDType(tf::DataType data_type) {
  for (const DTypeRow& row : kDTypes) {
    if (row.data_type == data_type) return row.dtype;
  }
  return DType::other;
}

inline tf::DataType ToDataType(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row.data_type;
  }
  return tf::DT_INVALID;
}

inline ArraySpec SpecOf(tf::DataType data_type, const tf::TensorShape& shape) {
  const auto dims = shape.dim_sizes();
  return {ToDType(data_type), Dims(dims.begin(), dims.end())};
}

inline absl::Status ToStatus(const Error& error) {
  return error ? absl::InvalidArgumentError(error.text) : absl::OkStatus();
}

// The row of the table that a node stands for, and the op's numbers.
inline absl::Status ReadNode(tf::OpKernelConstruction* context, const Op** op,
                             std::vector<int64_t>* numbers) {
  const std::string type = context->def().op();  // "Mtl>Gramian"
  *op = FindOp(type.substr(type.find('>') + 1));
  if (*op == nullptr) return absl::InternalError(absl::StrCat(type, " is not in the table"));
  return context->GetAttr("numbers", numbers);
}

// Registers `Kernel` for all ops of the table on a device.
template <typename Kernel>
void RegisterAllOps(const char* device) {
  for (const Op& op : Ops()) {
    const std::string name = std::string("Mtl>") + op.name;
    tf::kernel_factory::OpKernelRegistrar(
        tf::register_kernel::Name(name.c_str()).Device(device).Build(), name,
        [](tf::OpKernelConstruction* context) -> tf::OpKernel* { return new Kernel(context); });
  }
}

}  // namespace mtl
