// One TensorFlow kernel for all native ops: describes the inputs, allocates the results, runs the
// prepared call on the CPU's thread pool or the GPU's stream.
#include "tensorflow/helpers.h"
#if defined(MTL_WITH_CUDA)
#include "xla/stream_executor/stream.h"
#endif

namespace mtl {
namespace {

ParallelFor InjectThreadPool(tf::OpKernelContext* context) {
  const auto* workers = context->device()->tensorflow_cpu_worker_threads();
  return WorkTogether(workers->num_threads, [workers](const std::function<void()>& work) {
    workers->workers->Schedule(work);
  });
}

class NativeOp : public tf::OpKernel {
 public:
  explicit NativeOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, ReadNode(context, &op_, &numbers_));
  }

  void Compute(tf::OpKernelContext* context) override {
    CallSpec spec;
    spec.numbers = numbers_;
    spec.inputs.reserve(context->num_inputs());
    Buffers buffers;
    buffers.inputs.reserve(context->num_inputs());
    for (int n = 0; n < context->num_inputs(); ++n) {
      const tf::Tensor& input = context->input(n);
      spec.inputs.push_back(SpecOf(input.dtype(), input.shape()));
      buffers.inputs.push_back(input.tensor_data().data());
    }
    std::unique_ptr<const PreparedCall> call;
    OP_REQUIRES_OK(context, ToStatus(op_->prepare(spec, &call)));
    OP_REQUIRES_OK(context, CheckResults(call->results(), context));
    for (int n = 0; n < context->num_outputs(); ++n) {
      tf::Tensor* result;
      OP_REQUIRES_OK(
          context, context->forward_input_or_allocate_output(
                       call->MayReplace(n), n, tf::TensorShape(call->results()[n].dims), &result));
      buffers.results.push_back(const_cast<char*>(result->tensor_data().data()));
    }
    OP_REQUIRES_OK(context, Run(context, *call, buffers));
  }

 protected:
  // An error unless the node has the results that its inputs and numbers make.
  static absl::Status CheckResults(const std::vector<ArraySpec>& results,
                                   tf::OpKernelContext* context) {
    bool fits = static_cast<int>(results.size()) == context->num_outputs();
    for (int n = 0; fits && n < context->num_outputs(); ++n) {
      fits = ToDataType(results[n].dtype) == context->expected_output_dtype(n);
    }
    if (fits) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "numbers: they make ", results.size(), " results, the node has ", context->num_outputs()));
  }

  virtual absl::Status Run(tf::OpKernelContext* context, const PreparedCall& call,
                           const Buffers& buffers) const = 0;

 private:
  const Op* op_;
  std::vector<int64_t> numbers_;
};

class CpuOp final : public NativeOp {
 public:
  using NativeOp::NativeOp;

 private:
  absl::Status Run(tf::OpKernelContext* context, const PreparedCall& call,
                   const Buffers& buffers) const override {
    return ToStatus(call.Run(buffers, InjectThreadPool(context)));
  }
};

[[maybe_unused]] const bool is_registered_on_cpu = (RegisterAllOps<CpuOp>(tf::DEVICE_CPU), true);

#if defined(MTL_WITH_CUDA)
class GpuOp final : public NativeOp {
 public:
  using NativeOp::NativeOp;

 private:
  absl::Status Run(tf::OpKernelContext* context, const PreparedCall& call,
                   const Buffers& buffers) const override {
    const int64_t doubles = call.WorkspaceSize(buffers);
    tf::Tensor workspace;
    if (doubles > 0) {
      TF_RETURN_IF_ERROR(context->allocate_temp(tf::DT_DOUBLE, {doubles}, &workspace));
    }
    const CudaStream stream =
        context->op_device_context()->stream()->platform_specific_handle().stream;
    double* const memory = doubles > 0 ? workspace.flat<double>().data() : nullptr;
    const CudaStatus status = call.RunCuda(buffers, memory, stream);
    if (status == 0) return absl::OkStatus();
    return absl::InternalError(std::string("CUDA kernel: ") + CudaErrorText(status));
  }
};

[[maybe_unused]] const bool is_registered_on_gpu = (RegisterAllOps<GpuOp>(tf::DEVICE_GPU), true);
#endif

}  // namespace
}  // namespace mtl
