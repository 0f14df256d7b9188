// TensorFlow adapter of the Gramian: checks, allocates the output, calls the kernel.
#include "kernels/gradients/gramian.h"
#include "tensorflow/op_helpers.h"

namespace mtl {
namespace {

REGISTER_OP("Mtl>Gramian")
    .Input("task_gradients: num_gradients * T")
    .Attr("num_gradients: int >= 1")
    .Attr("slots: list(int) >= 1")
    .Attr("num_tasks: int >= 1")
    .Attr("num_tensors: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("gramian: double")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      TaskGradientAttributes attributes;
      TF_RETURN_IF_ERROR(attributes.Read(context));
      context->set_output(0, context->Matrix(attributes.num_tasks, attributes.num_tasks));
      return absl::OkStatus();
    })
    .Doc(R"doc(
Inner products of all pairs of task gradients.

slots: gradient n is tensor slots[n] % V of task slots[n] / V; others are zero.
gramian: [K, K] float64.
)doc");

template <typename Device>
class GramianOp : public TaskGradientOp {
 public:
  using TaskGradientOp::TaskGradientOp;

  void Compute(tf::OpKernelContext* context) override {
    TaskGradientTable table = NewTable();
    OP_REQUIRES_OK(context, Fill(context, &table));
    tf::Tensor* gramian;
    OP_REQUIRES_OK(context, context->allocate_output(0, {num_tasks(), num_tasks()}, &gramian));
    const GramianArgs args{table.View(), gramian->flat<double>().data()};
    if constexpr (std::is_same_v<Device, Cpu>) {
      Gramian(args, InjectThreadPool(context));
    } else {
#if defined(MTL_WITH_CUDA)
      tf::Tensor workspace;
      OP_REQUIRES_OK(context,
                     AllocateWorkspace(context, GramianWorkspaceSize(args.gradients), &workspace));
      OP_REQUIRES_OK(context, CudaResult(GramianCuda(args, workspace.flat<double>().data(),
                                                     StreamOf(context))));
#endif
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("Mtl>Gramian").Device(tf::DEVICE_CPU), GramianOp<Cpu>);
#if defined(MTL_WITH_CUDA)
REGISTER_KERNEL_BUILDER(Name("Mtl>Gramian").Device(tf::DEVICE_GPU), GramianOp<Gpu>);
#endif

}  // namespace
}  // namespace mtl
