// TensorFlow adapter of the weighted sum: checks, allocates the outputs, calls the kernel.
#include "kernels/gradients/weighted_sum.h"
#include "tensorflow/op_helpers.h"

namespace mtl {
namespace {

REGISTER_OP("Mtl>WeightedSum")
    .Input("task_gradients: num_gradients * T")
    .Input("weights: double")
    .Attr("num_gradients: int >= 1")
    .Attr("slots: list(int) >= 1")
    .Attr("num_tasks: int >= 1")
    .Attr("num_tensors: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("sums: num_tensors * T")
    .SetShapeFn(SetResultShapes)
    .Doc(R"doc(
Weighted sum of task gradients.

slots: gradient n is tensor slots[n] % V of task slots[n] / V; others are zero.
weights: [K].
sums: V tensors shaped like the gradients.
)doc");

template <typename Device>
class WeightedSumOp : public TaskGradientOp {
 public:
  using TaskGradientOp::TaskGradientOp;

  void Compute(tf::OpKernelContext* context) override {
    TaskGradientTable table = NewTable();
    OP_REQUIRES_OK(context, Fill(context, &table));
    const tf::Tensor& weights = context->input(num_gradients());
    OP_REQUIRES_OK(context, RequireVector(weights, "weights", num_tasks()));
    std::vector<void*> sums;
    OP_REQUIRES_OK(context, ReuseOrAllocateResults(context, &sums));
    const WeightedSumArgs args{table.View(), weights.flat<double>().data(), sums.data()};
    if constexpr (std::is_same_v<Device, Cpu>) {
      WeightedSum(args, InjectThreadPool(context));
    } else {
#if defined(MTL_WITH_CUDA)
      OP_REQUIRES_OK(context, CudaResult(WeightedSumCuda(args, StreamOf(context))));
#endif
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("Mtl>WeightedSum").Device(tf::DEVICE_CPU), WeightedSumOp<Cpu>);
#if defined(MTL_WITH_CUDA)
REGISTER_KERNEL_BUILDER(Name("Mtl>WeightedSum").Device(tf::DEVICE_GPU), WeightedSumOp<Gpu>);
#endif

}  // namespace
}  // namespace mtl
