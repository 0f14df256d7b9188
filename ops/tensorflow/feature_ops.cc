// TensorFlow adapters of the ops on feature maps (kernels/array_call.h): registers them, describes
// the arrays, allocates the results, calls the kernel.
#include "tensorflow/feature_ops.h"

namespace mtl {
namespace {

// Output n is like input `first + n`.
template <int kFirst>
absl::Status LikeInputsFrom(tf::shape_inference::InferenceContext* context) {
  for (int n = 0; n < context->num_outputs(); ++n) {
    context->set_output(n, context->input(kFirst + n));
  }
  return absl::OkStatus();
}

absl::Status LikeSources(tf::shape_inference::InferenceContext* context) {
  const int first = context->num_inputs() - context->num_outputs();
  for (int n = 0; n < context->num_outputs(); ++n) {
    context->set_output(n, context->input(first + n));
  }
  return absl::OkStatus();
}

absl::Status LikeFeaturesAndWeights(tf::shape_inference::InferenceContext* context) {
  TF_RETURN_IF_ERROR(LikeInputsFrom<0>(context));
  context->set_output(context->num_outputs() - 1, context->input(context->num_inputs() - 1));
  return absl::OkStatus();
}

REGISTER_OP("Mtl>AttentionDistillation")
    .Input("features: num_targets * T")
    .Input("sources: num_sources * T")
    .Attr("numbers: list(int)")
    .Attr("num_targets: int >= 1")
    .Attr("num_sources: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("results: num_targets * T")
    .SetShapeFn(LikeInputsFrom<0>)
    .Doc(R"doc(
Features plus messages through gates (Xu et al. 2018).

numbers: num_targets, then for each message, ordered by target: its target, the source of the gate,
  its first channel there, the source of the value, its first channel there.
)doc");

REGISTER_OP("Mtl>AttentionDistillationGrad")
    .Input("upstream: num_targets * T")
    .Input("sources: num_sources * T")
    .Attr("numbers: list(int)")
    .Attr("num_targets: int >= 1")
    .Attr("num_sources: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("gradients: num_sources * T")
    .SetShapeFn(LikeSources)
    .Doc(R"doc(
Gradients of the sources of AttentionDistillation; every channel must be in one gate or value.
)doc");

REGISTER_OP("Mtl>CrossStitch")
    .Input("features: num_tasks * T")
    .Input("weights: float")
    .Attr("numbers: list(int) = []")
    .Attr("num_tasks: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("results: num_tasks * T")
    .SetShapeFn(LikeInputsFrom<0>)
    .Doc(R"doc(
Mixtures of K features (Misra et al. 2016).

weights: [K, K, C].
)doc");

REGISTER_OP("Mtl>CrossStitchGrad")
    .Input("features: num_tasks * T")
    .Input("upstream: num_tasks * T")
    .Input("weights: float")
    .Attr("numbers: list(int) = []")
    .Attr("num_tasks: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("gradients: num_tasks * T")
    .Output("weight_gradients: float")
    .SetShapeFn(LikeFeaturesAndWeights)
    .Doc(R"doc(
Gradients of the features and of the weights of CrossStitch.
)doc");

absl::Status DiffusedAndSoftmax(tf::shape_inference::InferenceContext* context) {
  const int values = context->num_inputs() - 2;
  context->set_output(0, context->input(values));
  context->set_output(1, context->UnknownShapeOfRank(4));
  return absl::OkStatus();
}

REGISTER_OP("Mtl>AffinityDiffusion")
    .Input("queries: num_sources * T")
    .Input("keys: num_sources * T")
    .Input("values: T")
    .Input("mix: float")
    .Attr("numbers: list(int) = []")
    .Attr("num_sources: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("results: T")
    .Output("softmax: float")
    .SetShapeFn(DiffusedAndSoftmax)
    .Doc(R"doc(
Values [B, ..., C] mixed by sum_s mix_s softmax(queries_s keys_s'), queries and keys [B, ..., D].

softmax: [2, S, B, N], the largest score of each row and the sum of the exponentials.
)doc");

REGISTER_OP("Mtl>AffinityDiffusionGrad")
    .Input("queries: num_sources * T")
    .Input("keys: num_sources * T")
    .Input("values: T")
    .Input("mix: float")
    .Input("softmax: float")
    .Input("upstream: T")
    .Attr("numbers: list(int) = []")
    .Attr("num_sources: int >= 1")
    .Attr("T: {float, bfloat16, half}")
    .Output("query_gradients: num_sources * T")
    .Output("key_gradients: num_sources * T")
    .Output("value_gradients: T")
    .Output("mix_gradients: float")
    .SetShapeFn(LikeInputsFrom<0>)
    .Doc(R"doc(
Gradients of AffinityDiffusion.
)doc");

absl::Status LossAndGradient(tf::shape_inference::InferenceContext* context) {
  context->set_output(0, context->Scalar());
  context->set_output(1, context->input(0));
  return absl::OkStatus();
}

REGISTER_OP("Mtl>UpsampleCrossEntropy")
    .Input("predictions: float")
    .Input("labels: int32")
    .Input("weights: float")
    .Attr("numbers: list(int) = []")
    .Output("loss: float")
    .Output("gradient: float")
    .SetShapeFn(LossAndGradient)
    .Doc(R"doc(
Softmax cross-entropy of logits [B, h, w, C] at the resolution of labels [B, H, W], and its gradient.
)doc");

REGISTER_OP("Mtl>UpsampleL1")
    .Input("predictions: float")
    .Input("targets: float")
    .Input("weights: float")
    .Attr("numbers: list(int) = []")
    .Output("loss: float")
    .Output("gradient: float")
    .SetShapeFn(LossAndGradient)
    .Doc(R"doc(
Mean absolute error of [B, h, w, C] at the resolution of targets [B, H, W, C], and its gradient.
)doc");

template <typename Device>
class FeatureOpKernel : public tf::OpKernel {
 public:
  explicit FeatureOpKernel(tf::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, FeatureOpOf(context, &op_, &numbers_));
  }

  void Compute(tf::OpKernelContext* context) override {
    ArrayCall call;
    call.numbers = numbers_;
    for (int n = 0; n < context->num_inputs(); ++n) {
      const tf::Tensor& input = context->input(n);
      call.specs.push_back({ToArrayType(input.dtype()), DimsOf(input.shape())});
      call.inputs.push_back(input.tensor_data().data());
    }
    std::vector<ArraySpec> results;
    OP_REQUIRES_OK(context, InvalidIf(op_->check(call, &results)));
    for (int n = 0; n < context->num_outputs(); ++n) {
      tf::Tensor* result;
      OP_REQUIRES_OK(context,
                     context->allocate_output(n, tf::TensorShape(results[n].dims), &result));
      call.results.push_back(const_cast<char*>(result->tensor_data().data()));
    }
    if constexpr (std::is_same_v<Device, Cpu>) {
      op_->run(call, InjectThreadPool(context));
    } else {
#if defined(MTL_WITH_CUDA)
      tf::Tensor workspace;
      const int64_t doubles = op_->workspace_size == nullptr ? 0 : op_->workspace_size(call);
      OP_REQUIRES_OK(context, AllocateWorkspace(context, doubles, &workspace));
      OP_REQUIRES_OK(context, CudaResult(op_->run_cuda(call, workspace.flat<double>().data(),
                                                       StreamOf(context))));
#endif
    }
  }

 private:
  const FeatureOp* op_;
  std::vector<int64_t> numbers_;
};

#define MTL_REGISTER_CPU(name) \
  REGISTER_KERNEL_BUILDER(Name("Mtl>" name).Device(tf::DEVICE_CPU), FeatureOpKernel<Cpu>);
MTL_FOR_EACH_FEATURE_OP(MTL_REGISTER_CPU)

#if defined(MTL_WITH_CUDA)
#define MTL_REGISTER_GPU(name) \
  REGISTER_KERNEL_BUILDER(Name("Mtl>" name).Device(tf::DEVICE_GPU), FeatureOpKernel<Gpu>);
MTL_FOR_EACH_FEATURE_OP(MTL_REGISTER_GPU)
#endif

}  // namespace
}  // namespace mtl
