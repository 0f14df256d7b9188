// TensorFlow adapter of PCGrad end to end: checks, allocates the outputs, calls the kernel.
#include "kernels/gradients/gradient_projection.h"
#include "tensorflow/op_helpers.h"

namespace mtl {
namespace {

REGISTER_OP("Mtl>GradientProjection")
    .Input("task_gradients: num_gradients * T")
    .Input("order: int32")
    .Attr("num_gradients: int >= 1")
    .Attr("slots: list(int) >= 1")
    .Attr("num_tasks: int >= 1")
    .Attr("num_tensors: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("directions: num_tensors * T")
    .Output("weights: double")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      TaskGradientAttributes attributes;
      TF_RETURN_IF_ERROR(attributes.Read(context));
      TF_RETURN_IF_ERROR(SetResultShapes(context));
      context->set_output(attributes.num_tensors, context->Vector(attributes.num_tasks));
      return absl::OkStatus();
    })
    .Doc(R"doc(
PCGrad: projects conflicting task gradients and adds them up (Yu et al. 2020).

slots: gradient n is tensor slots[n] % V of task slots[n] / V; others are zero.
order: [K, K-1], row i lists the other tasks in the order in which i meets them.
directions: V tensors shaped like the gradients.
weights: [K], the direction is the sum of weights[k] times the gradients of task k.
)doc");

template <typename Device>
class GradientProjectionOp : public TaskGradientOp {
 public:
  using TaskGradientOp::TaskGradientOp;

  void Compute(tf::OpKernelContext* context) override {
    TaskGradientTable table = NewTable();
    OP_REQUIRES_OK(context, Fill(context, &table));
    const tf::Tensor& order = context->input(num_gradients());
    OP_REQUIRES_OK(context, RequireOrder<Device>(order, num_tasks()));
    std::vector<void*> directions;
    OP_REQUIRES_OK(context, AllocateResults(context, &directions));
    tf::Tensor* weights;
    OP_REQUIRES_OK(context, context->allocate_output(num_tensors(), {num_tasks()}, &weights));
    const GradientProjectionArgs args{table.View(), order.flat<int32_t>().data(), directions.data(),
                                      weights->flat<double>().data()};
    if constexpr (std::is_same_v<Device, Cpu>) {
      GradientProjection(args, InjectThreadPool(context));
    } else {
#if defined(MTL_WITH_CUDA)
      tf::Tensor workspace;
      OP_REQUIRES_OK(
          context,
          AllocateWorkspace(context, GradientProjectionWorkspaceSize(args.gradients), &workspace));
      OP_REQUIRES_OK(context, CudaResult(GradientProjectionCuda(
                                  args, workspace.flat<double>().data(), StreamOf(context))));
#endif
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("Mtl>GradientProjection").Device(tf::DEVICE_CPU),
                        GradientProjectionOp<Cpu>);
#if defined(MTL_WITH_CUDA)
REGISTER_KERNEL_BUILDER(Name("Mtl>GradientProjection").Device(tf::DEVICE_GPU),
                        GradientProjectionOp<Gpu>);
#endif

}  // namespace
}  // namespace mtl
