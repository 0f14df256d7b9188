// TensorFlow adapter of GradDrop: checks, allocates the outputs, calls the kernel.
#include "kernels/gradients/grad_drop.h"
#include "tensorflow/op_helpers.h"

namespace mtl {
namespace {

REGISTER_OP("Mtl>GradDrop")
    .Input("task_gradients: num_gradients * T")
    .Input("uniform: num_tensors * float")
    .Input("leak: float")
    .Attr("num_gradients: int >= 1")
    .Attr("slots: list(int) >= 1")
    .Attr("num_tasks: int >= 1")
    .Attr("num_tensors: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("directions: num_tensors * T")
    .SetShapeFn(SetResultShapes)
    .Doc(R"doc(
Sum of task gradients that keeps, per element, one sign (Chen et al. 2020).

slots: gradient n is tensor slots[n] % V of task slots[n] / V; others are zero.
uniform: V tensors of random numbers in [0, 1), shaped like the gradients.
leak: [K] in [0, 1], the share of a task's gradient that is always kept.
directions: V tensors shaped like the gradients.
)doc");

template <typename Device>
class GradDropOp : public TaskGradientOp {
 public:
  using TaskGradientOp::TaskGradientOp;

  void Compute(tf::OpKernelContext* context) override {
    TaskGradientTable table = NewTable();
    OP_REQUIRES_OK(context, Fill(context, &table));
    const TaskGradients gradients = table.View();
    std::vector<const float*> uniform(num_tensors());
    for (int v = 0; v < num_tensors(); ++v) {
      const tf::Tensor& numbers = context->input(num_gradients() + v);
      OP_REQUIRES(context, numbers.NumElements() == gradients.sizes[v],
                  absl::InvalidArgumentError(absl::StrCat("uniform: expected ", gradients.sizes[v],
                                                          " elements in tensor ", v, ", received ",
                                                          numbers.NumElements())));
      uniform[v] = numbers.flat<float>().data();
    }
    const tf::Tensor& leak = context->input(num_gradients() + num_tensors());
    OP_REQUIRES_OK(context, RequireVector(leak, "leak", num_tasks()));
    std::vector<void*> directions;
    OP_REQUIRES_OK(context, AllocateResults(context, &directions));
    const GradDropArgs args{gradients, uniform.data(), leak.flat<float>().data(),
                            directions.data()};
    if constexpr (std::is_same_v<Device, Cpu>) {
      GradDrop(args, InjectThreadPool(context));
    } else {
#if defined(MTL_WITH_CUDA)
      OP_REQUIRES_OK(context, CudaResult(GradDropCuda(args, StreamOf(context))));
#endif
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("Mtl>GradDrop").Device(tf::DEVICE_CPU), GradDropOp<Cpu>);
#if defined(MTL_WITH_CUDA)
REGISTER_KERNEL_BUILDER(Name("Mtl>GradDrop").Device(tf::DEVICE_GPU), GradDropOp<Gpu>);
#endif

}  // namespace
}  // namespace mtl
