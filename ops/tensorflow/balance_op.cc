// TensorFlow adapter of the solvers: checks, allocates the outputs, calls the kernel.
#include "kernels/balance_names.h"
#include "kernels/solvers/balance.h"
#include "tensorflow/op_helpers.h"

namespace mtl {
namespace {

REGISTER_OP("Mtl>Balance")
    .Input("gramian: double")
    .Input("preference: double")
    .Input("order: int32")
    .Input("targets: double")
    .Input("parameter: double")
    .Attr("method: string")
    .Attr("scale: string")
    .Output("weights: double")
    .Output("status: int32")
    .Output("residual: double")
    .Output("new_targets: double")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle gramian;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 2, &gramian));
      tf::shape_inference::DimensionHandle num_tasks;
      TF_RETURN_IF_ERROR(
          context->Merge(context->Dim(gramian, 0), context->Dim(gramian, 1), &num_tasks));
      context->set_output(0, context->Vector(num_tasks));
      context->set_output(1, context->Scalar());
      context->set_output(2, context->Scalar());
      context->set_output(3, context->Matrix(num_tasks, num_tasks));
      return absl::OkStatus();
    })
    .Doc(R"doc(
Weights of K tasks from the Gramian of their gradients.

gramian: [K, K] symmetric.
preference: [K], or no elements.
order: [K, K-1], or no elements.
targets: [K, K], or no elements.
parameter: c of CAGrad, alpha of FairGrad, beta of GradVac.
status: 0 converged, 1 fallback, 2 not converged, 3 Gramian not finite.
residual: how far the method's optimality conditions are off.
new_targets: [K, K] target cosines for the next call of GradVac.
)doc");

template <typename Device>
class BalanceOp : public tf::OpKernel {
 public:
  explicit BalanceOp(tf::OpKernelConstruction* context) : OpKernel(context) {
    std::string method, scale;
    OP_REQUIRES_OK(context, context->GetAttr("method", &method));
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale));
    OP_REQUIRES_OK(context, InvalidIf(ParseBalanceMethod(method, &args_.method)));
    OP_REQUIRES_OK(context, InvalidIf(ParseAlignedScale(scale, &args_.scale)));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& gramian = context->input(0);
    const tf::Tensor& preference = context->input(1);
    const tf::Tensor& order = context->input(2);
    const tf::Tensor& targets = context->input(3);
    const tf::Tensor& parameter = context->input(4);
    OP_REQUIRES(context, gramian.dims() == 2,
                absl::InvalidArgumentError(absl::StrCat("gramian: expected shape [K, K], received ",
                                                        gramian.shape().DebugString())));
    const int num_tasks = static_cast<int>(gramian.dim_size(0));
    OP_REQUIRES_OK(context, InvalidIf(CheckNumTasks(num_tasks)));
    OP_REQUIRES_OK(context, RequireMatrix(gramian, "gramian", num_tasks, num_tasks));
    OP_REQUIRES(context, parameter.NumElements() == 1,
                absl::InvalidArgumentError("parameter: expected a scalar"));
    BalanceArgs args = args_;
    args.parameter = parameter.flat<double>().data();
    if constexpr (std::is_same_v<Device, Cpu>) {
      OP_REQUIRES_OK(context, InvalidIf(CheckBalanceParameter(args.method, *args.parameter)));
    }
    args.num_tasks = num_tasks;
    args.gramian = gramian.flat<double>().data();
    if (preference.NumElements() > 0) {
      OP_REQUIRES_OK(context, RequireVector(preference, "preference", num_tasks));
      args.preference = preference.flat<double>().data();
    }
    if (order.NumElements() > 0) {
      OP_REQUIRES_OK(context, RequireOrder<Device>(order, num_tasks));
      args.order = order.flat<int32_t>().data();
    }
    if (targets.NumElements() > 0) {
      OP_REQUIRES_OK(context, RequireMatrix(targets, "targets", num_tasks, num_tasks));
      args.targets = targets.flat<double>().data();
    }
    tf::Tensor *weights, *status, *residual, *new_targets, workspace;
    OP_REQUIRES_OK(context, context->allocate_output(0, {num_tasks}, &weights));
    OP_REQUIRES_OK(context, context->allocate_output(1, {}, &status));
    OP_REQUIRES_OK(context, context->allocate_output(2, {}, &residual));
    OP_REQUIRES_OK(context, context->allocate_output(3, {num_tasks, num_tasks}, &new_targets));
    OP_REQUIRES_OK(context, context->allocate_temp(tf::DT_DOUBLE, {BalanceWorkspaceSize(num_tasks)},
                                                   &workspace));
    args.weights = weights->flat<double>().data();
    args.status = status->flat<int32_t>().data();
    args.residual = residual->flat<double>().data();
    args.new_targets = new_targets->flat<double>().data();
    if constexpr (std::is_same_v<Device, Cpu>) {
      Balance(args, workspace.flat<double>().data());
    } else {
#if defined(MTL_WITH_CUDA)
      OP_REQUIRES_OK(context, CudaResult(BalanceCuda(args, workspace.flat<double>().data(),
                                                     StreamOf(context))));
#endif
    }
  }

 private:
  BalanceArgs args_{};
};

REGISTER_KERNEL_BUILDER(Name("Mtl>Balance").Device(tf::DEVICE_CPU), BalanceOp<Cpu>);
#if defined(MTL_WITH_CUDA)
REGISTER_KERNEL_BUILDER(Name("Mtl>Balance").Device(tf::DEVICE_GPU), BalanceOp<Gpu>);
#endif

}  // namespace
}  // namespace mtl
