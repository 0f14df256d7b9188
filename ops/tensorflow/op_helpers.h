// What every TensorFlow adapter needs: threads, streams, and task gradients as kernels know them.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cpu/parallel_for.h"
#include "kernels/cuda/stream.h"
#include "kernels/gradients/task_gradients.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"
#if defined(MTL_WITH_CUDA)
#include "xla/stream_executor/stream.h"
#endif

namespace mtl {

namespace tf = ::tensorflow;

// Where an op kernel runs.
struct Cpu {};
struct Gpu {};

// A ParallelFor on a pool of `num_threads` threads that `schedule(work)` hands a piece of work to.
// All take the next index from one counter, so nobody waits for the slowest. The pool may have no
// thread to spare: the caller works as well, and waits only for what has begun.
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

inline ParallelFor InjectThreadPool(tf::OpKernelContext* context) {
  const auto* workers = context->device()->tensorflow_cpu_worker_threads();
  return WorkTogether(workers->num_threads, [workers](const std::function<void()>& work) {
    workers->workers->Schedule(work);
  });
}

inline ElementType ToElementType(tf::DataType type) {
  if (type == tf::DT_BFLOAT16) return ElementType::bfloat16;
  if (type == tf::DT_HALF) return ElementType::float16;
  return ElementType::float32;
}

// An error for what is wrong; OK for an empty string.
inline absl::Status InvalidIf(const std::string& what_is_wrong) {
  return what_is_wrong.empty() ? absl::OkStatus() : absl::InvalidArgumentError(what_is_wrong);
}

#if defined(MTL_WITH_CUDA)
inline CudaStream StreamOf(tf::OpKernelContext* context) {
  return context->op_device_context()->stream()->platform_specific_handle().stream;
}

inline absl::Status CudaResult(CudaStatus status) {
  if (status == 0) return absl::OkStatus();
  return absl::InternalError(std::string("CUDA kernel: ") + CudaErrorText(status));
}

inline absl::Status AllocateWorkspace(tf::OpKernelContext* context, int64_t doubles,
                                      tf::Tensor* workspace) {
  return context->allocate_temp(tf::DT_DOUBLE, {std::max<int64_t>(doubles, 1)}, workspace);
}
#endif

// The attributes of an op on task gradients: input n is tensor slots[n] % V of task slots[n] / V;
// slots that are not named stand for zero.
struct TaskGradientAttributes {
  int num_tasks;
  int num_tensors;
  std::vector<int64_t> slots;

  template <typename Context>  // OpKernelConstruction or InferenceContext
  absl::Status Read(Context* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("num_tasks", &num_tasks));
    TF_RETURN_IF_ERROR(context->GetAttr("num_tensors", &num_tensors));
    TF_RETURN_IF_ERROR(context->GetAttr("slots", &slots));
    TF_RETURN_IF_ERROR(InvalidIf(CheckNumTasks(num_tasks)));
    int num_gradients;
    TF_RETURN_IF_ERROR(context->GetAttr("num_gradients", &num_gradients));
    if (num_gradients != static_cast<int>(slots.size())) {
      return absl::InvalidArgumentError("slots must name one slot per gradient");
    }
    for (const int64_t slot : slots) {
      if (slot < 0 || slot >= static_cast<int64_t>(num_tasks) * num_tensors) {
        return absl::InvalidArgumentError("slots must be below num_tasks * num_tensors");
      }
    }
    return absl::OkStatus();
  }
};

// Base of the op kernels on task gradients.
class TaskGradientOp : public tf::OpKernel {
 public:
  explicit TaskGradientOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

 protected:
  int num_tasks() const { return attributes_.num_tasks; }
  int num_tensors() const { return attributes_.num_tensors; }

  // Inputs 0 .. num_gradients - 1 are the gradients.
  int num_gradients() const { return static_cast<int>(attributes_.slots.size()); }

  TaskGradientTable NewTable() const {
    return TaskGradientTable(num_tasks(), num_tensors(), ToElementType(input_type(0)));
  }

  absl::Status Fill(tf::OpKernelContext* context, TaskGradientTable* table) const {
    std::vector<const tf::TensorShape*> shapes(num_tensors(), nullptr);
    for (int n = 0; n < num_gradients(); ++n) {
      const tf::Tensor& gradient = context->input(n);
      const int tensor = static_cast<int>(attributes_.slots[n] % num_tensors());
      if (shapes[tensor] == nullptr) shapes[tensor] = &gradient.shape();
      if (gradient.shape() != *shapes[tensor]) {
        return absl::InvalidArgumentError(absl::StrCat(
            "task_gradients: expected shape ", shapes[tensor]->DebugString(), " for tensor ",
            tensor, " of all tasks, received ", gradient.shape().DebugString()));
      }
      TF_RETURN_IF_ERROR(InvalidIf(
          table->Set(attributes_.slots[n], gradient.tensor_data().data(), gradient.NumElements())));
    }
    return absl::OkStatus();
  }

  // Outputs 0 .. num_tensors - 1 in the place of a gradient that nobody else needs, if there is
  // one: for kernels that read an element of all tasks before they write it.
  absl::Status ReuseOrAllocateResults(tf::OpKernelContext* context,
                                      std::vector<void*>* results) const {
    std::vector<std::vector<int>> candidates(num_tensors());
    for (int n = 0; n < num_gradients(); ++n) {
      candidates[attributes_.slots[n] % num_tensors()].push_back(n);
    }
    results->assign(num_tensors(), nullptr);
    for (int v = 0; v < num_tensors(); ++v) {
      if (candidates[v].empty()) {
        return absl::InvalidArgumentError("every tensor needs the gradient of at least one task");
      }
      const tf::TensorShape shape = context->input(candidates[v].front()).shape();
      tf::Tensor* result;
      TF_RETURN_IF_ERROR(
          context->forward_input_or_allocate_output(candidates[v], v, shape, &result));
      (*results)[v] = const_cast<char*>(result->tensor_data().data());
    }
    return absl::OkStatus();
  }

  // Outputs 0 .. num_tensors - 1, shaped like the gradients of their tensor.
  absl::Status AllocateResults(tf::OpKernelContext* context, std::vector<void*>* results) const {
    results->assign(num_tensors(), nullptr);
    for (int n = 0; n < num_gradients(); ++n) {
      const int tensor = static_cast<int>(attributes_.slots[n] % num_tensors());
      if (context->mutable_output(tensor) != nullptr) continue;
      tf::Tensor* result;
      TF_RETURN_IF_ERROR(context->allocate_output(tensor, context->input(n).shape(), &result));
      (*results)[tensor] = const_cast<char*>(result->tensor_data().data());
    }
    for (int v = 0; v < num_tensors(); ++v) {
      if (context->mutable_output(v) == nullptr) {
        return absl::InvalidArgumentError("every tensor needs the gradient of at least one task");
      }
    }
    return absl::OkStatus();
  }

 private:
  TaskGradientAttributes attributes_;
};

// Shape function part: outputs 0 .. num_tensors - 1 are shaped like the gradients of their tensor.
inline absl::Status SetResultShapes(tf::shape_inference::InferenceContext* context) {
  TaskGradientAttributes attributes;
  TF_RETURN_IF_ERROR(attributes.Read(context));
  std::vector<tf::shape_inference::ShapeHandle> shapes(attributes.num_tensors);
  // An unknown shape of its own each: what is merged with one unknown shape counts as equal.
  for (auto& shape : shapes) shape = context->UnknownShape();
  for (size_t n = 0; n < attributes.slots.size(); ++n) {
    auto& shape = shapes[attributes.slots[n] % attributes.num_tensors];
    TF_RETURN_IF_ERROR(context->Merge(shape, context->input(static_cast<int>(n)), &shape));
  }
  for (int v = 0; v < attributes.num_tensors; ++v) context->set_output(v, shapes[v]);
  return absl::OkStatus();
}

inline absl::Status RequireVector(const tf::Tensor& tensor, const char* name, int64_t length) {
  if (tensor.dims() == 1 && tensor.dim_size(0) == length) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected shape [", length, "], received ",
                                                 tensor.shape().DebugString()));
}

inline absl::Status RequireMatrix(const tf::Tensor& tensor, const char* name, int64_t rows,
                                  int64_t columns) {
  if (tensor.dims() == 2 && tensor.dim_size(0) == rows && tensor.dim_size(1) == columns) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(name, ": expected shape [", rows, ", ", columns,
                                                 "], received ", tensor.shape().DebugString()));
}

// On a GPU the order stays on the device; the kernel skips what is not another task.
template <typename Device>
absl::Status RequireOrder(const tf::Tensor& order, int num_tasks) {
  TF_RETURN_IF_ERROR(RequireMatrix(order, "order", num_tasks, num_tasks - 1));
  if (std::is_same_v<Device, Gpu>) return absl::OkStatus();
  return InvalidIf(CheckOrder(order.flat<int32_t>().data(), num_tasks));
}

}  // namespace mtl
