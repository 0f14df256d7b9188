// TensorFlow adapter of the Gramian: checks, allocates the output, calls the kernel.
#include <vector>

#include "kernels/gramian.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/op_helpers.h"

namespace mtl {
namespace {

namespace tf = ::tensorflow;

REGISTER_OP("Mtl>Gramian")
    .Input("task_gradients: num_gradients * T")
    .Attr("num_gradients: int >= 1")
    .Attr("num_tasks: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("gramian: double")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      int num_tasks;
      TF_RETURN_IF_ERROR(context->GetAttr("num_tasks", &num_tasks));
      context->set_output(0, context->Matrix(num_tasks, num_tasks));
      return absl::OkStatus();
    })
    .Doc(R"doc(
Inner products of all pairs of task gradients.

task_gradients: [K, V] tensors, row-major: tensor v of task k at k * V + v. A tensor without
  elements stands for zero.
gramian: [K, K] float64.
)doc");

class GramianOp : public tf::OpKernel {
 public:
  explicit GramianOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("num_tasks", &num_tasks_));
    OP_REQUIRES(context, num_tasks_ <= kMaxGramianTasks,
                tf::errors::InvalidArgument("expected at most ", kMaxGramianTasks,
                                            " tasks, received ", num_tasks_));
    OP_REQUIRES(context, context->num_inputs() % num_tasks_ == 0,
                tf::errors::InvalidArgument("num_gradients must be a multiple of num_tasks=",
                                            num_tasks_, ", received ", context->num_inputs()));
  }

  void Compute(tf::OpKernelContext* context) override {
    tf::OpInputList inputs;
    OP_REQUIRES_OK(context, context->input_list("task_gradients", &inputs));
    const int num_tensors = inputs.size() / num_tasks_;
    std::vector<const void*> gradients(inputs.size(), nullptr);
    std::vector<int64_t> sizes(num_tensors, 0);
    for (int n = 0; n < inputs.size(); ++n) {
      const int64_t size = inputs[n].NumElements();
      if (size == 0) continue;
      int64_t& expected = sizes[n % num_tensors];
      OP_REQUIRES(
          context, expected == 0 || expected == size,
          tf::errors::InvalidArgument("tensor ", n % num_tensors, " of task ", n / num_tensors,
                                      " has ", size, " elements, other tasks have ", expected));
      expected = size;
      gradients[n] = inputs[n].tensor_data().data();
    }
    tf::Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, {num_tasks_, num_tasks_}, &output));
    Gramian({num_tasks_, num_tensors, gradients.data(), sizes.data(), ToGradientType(input_type(0)),
             output->flat<double>().data()},
            InjectThreadPool(context));
  }

 private:
  int num_tasks_;
};

REGISTER_KERNEL_BUILDER(Name("Mtl>Gramian").Device(tf::DEVICE_CPU), GramianOp);

}  // namespace
}  // namespace mtl
