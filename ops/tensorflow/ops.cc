// The TensorFlow signatures of all native ops; op_kernel.cc and xla_op.cc run them.
//
// `numbers` are an op's own; kernels/*_op.cc and kernels/gradient_ops.cc say what they and the
// arrays mean.
#include "kernels/gradients/task_gradients.h"
#include "tensorflow/helpers.h"

namespace mtl {
namespace {

using tf::shape_inference::InferenceContext;

// === Shape functions ===

// K, V and a slot for each gradient.
absl::Status ReadNumbers(InferenceContext* context, std::vector<int64_t>* numbers) {
  TF_RETURN_IF_ERROR(context->GetAttr("numbers", numbers));
  int num_gradients;
  TF_RETURN_IF_ERROR(context->GetAttr("num_gradients", &num_gradients));
  if (static_cast<int>(numbers->size()) != num_gradients + 2) {
    return absl::InvalidArgumentError("numbers: expected K, V and one slot per gradient");
  }
  return ToStatus(CheckTaskNumbers(*numbers));
}

absl::Status GramianShape(InferenceContext* context) {
  std::vector<int64_t> numbers;
  TF_RETURN_IF_ERROR(ReadNumbers(context, &numbers));
  context->set_output(0, context->Matrix(numbers[0], numbers[0]));
  return absl::OkStatus();
}

// Outputs 0 .. V - 1 are shaped like the gradients of their tensor; one more has an element a task.
absl::Status TensorShapes(InferenceContext* context) {
  std::vector<int64_t> numbers;
  TF_RETURN_IF_ERROR(ReadNumbers(context, &numbers));
  int num_tensors;
  TF_RETURN_IF_ERROR(context->GetAttr("num_tensors", &num_tensors));
  if (num_tensors != numbers[1]) {
    return absl::InvalidArgumentError("numbers: expected V to be num_tensors");
  }
  std::vector<tf::shape_inference::ShapeHandle> shapes(numbers[1]);
  // An unknown shape of its own each: what is merged with one unknown shape counts as equal.
  for (auto& shape : shapes) shape = context->UnknownShape();
  for (size_t n = 2; n < numbers.size(); ++n) {
    auto& shape = shapes[numbers[n] % numbers[1]];
    TF_RETURN_IF_ERROR(context->Merge(shape, context->input(static_cast<int>(n) - 2), &shape));
  }
  for (int v = 0; v < numbers[1]; ++v) context->set_output(v, shapes[v]);
  if (context->num_outputs() > numbers[1]) {
    context->set_output(static_cast<int>(numbers[1]), context->Vector(numbers[0]));
  }
  return absl::OkStatus();
}

absl::Status BalanceShapes(InferenceContext* context) {
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
}

// Outputs are shaped like the first inputs.
absl::Status LikeFirst(InferenceContext* context) {
  for (int n = 0; n < context->num_outputs(); ++n) context->set_output(n, context->input(n));
  return absl::OkStatus();
}

// Outputs are shaped like the last inputs.
absl::Status LikeLast(InferenceContext* context) {
  const int first = context->num_inputs() - context->num_outputs();
  for (int n = 0; n < context->num_outputs(); ++n) {
    context->set_output(n, context->input(first + n));
  }
  return absl::OkStatus();
}

absl::Status StitchGradShapes(InferenceContext* context) {
  TF_RETURN_IF_ERROR(LikeFirst(context));
  context->set_output(context->num_outputs() - 1, context->input(context->num_inputs() - 1));
  return absl::OkStatus();
}

absl::Status DiffusionShapes(InferenceContext* context) {
  context->set_output(0, context->input(context->num_inputs() - 2));  // the values
  context->set_output(1, context->UnknownShapeOfRank(4));
  return absl::OkStatus();
}

absl::Status LossShapes(InferenceContext* context) {
  context->set_output(0, context->Scalar());
  context->set_output(1, context->input(0));
  return absl::OkStatus();
}

// === Signatures ===

struct Signature {
  const char* name;
  std::vector<const char*> inputs;
  std::vector<const char*> outputs;
  absl::Status (*shapes)(InferenceContext*);
  std::vector<const char*> counts = {};  // lengths of lists of arrays
};

const Signature kSignatures[] = {
    {"Gramian",
     {"task_gradients: num_gradients * T"},
     {"gramian: double"},
     GramianShape,
     {"num_gradients"}},
    {"WeightedSum",
     {"task_gradients: num_gradients * T", "weights: double"},
     {"sums: num_tensors * T"},
     TensorShapes,
     {"num_gradients", "num_tensors"}},
    {"GradDrop",
     {"task_gradients: num_gradients * T", "uniform: num_tensors * float", "leak: float"},
     {"directions: num_tensors * T"},
     TensorShapes,
     {"num_gradients", "num_tensors"}},
    {"GradientProjection",
     {"task_gradients: num_gradients * T", "order: int32"},
     {"directions: num_tensors * T", "weights: double"},
     TensorShapes,
     {"num_gradients", "num_tensors"}},
    {"Balance",
     {"gramian: double", "preference: double", "order: int32", "targets: double",
      "parameter: double"},
     {"weights: double", "status: int32", "residual: double", "new_targets: double"},
     BalanceShapes},
    {"AttentionDistillation",
     {"features: num_targets * T", "sources: num_sources * T"},
     {"results: num_targets * T"},
     LikeFirst,
     {"num_targets", "num_sources"}},
    {"AttentionDistillationGrad",
     {"upstream: num_targets * T", "sources: num_sources * T"},
     {"gradients: num_sources * T"},
     LikeLast,
     {"num_targets", "num_sources"}},
    {"CrossStitch",
     {"features: num_tasks * T", "weights: float"},
     {"results: num_tasks * T"},
     LikeFirst,
     {"num_tasks"}},
    {"CrossStitchGrad",
     {"features: num_tasks * T", "upstream: num_tasks * T", "weights: float"},
     {"gradients: num_tasks * T", "weight_gradients: float"},
     StitchGradShapes,
     {"num_tasks"}},
    {"AffinityDiffusion",
     {"queries: num_sources * T", "keys: num_sources * T", "values: T", "mix: float"},
     {"results: T", "softmax: float"},
     DiffusionShapes,
     {"num_sources"}},
    {"AffinityDiffusionGrad",
     {"queries: num_sources * T", "keys: num_sources * T", "values: T", "mix: float",
      "softmax: float", "upstream: T"},
     {"query_gradients: num_sources * T", "key_gradients: num_sources * T", "value_gradients: T",
      "mix_gradients: float"},
     LikeFirst,
     {"num_sources"}},
    {"UpsampleCrossEntropy",
     {"predictions: float", "labels: int32", "weights: float"},
     {"loss: float", "gradient: float"},
     LossShapes},
    {"UpsampleL1",
     {"predictions: float", "targets: float", "weights: float"},
     {"loss: float", "gradient: float"},
     LossShapes},
};

[[maybe_unused]] const bool is_registered = [] {
  for (const Signature& signature : kSignatures) {
    const std::string name = std::string("Mtl>") + signature.name;
    tf::register_op::OpDefBuilderWrapper op(name.c_str());
    bool is_generic = false;
    for (const char* input : signature.inputs) {
      op.Input(input);
      is_generic |= std::string(input).back() == 'T';
    }
    for (const char* output : signature.outputs) op.Output(output);
    for (const char* count : signature.counts) op.Attr(std::string(count) + ": int >= 1");
    if (is_generic) op.Attr("T: {float, bfloat16, half}");
    op.Attr("numbers: list(int) = []").SetShapeFn(signature.shapes)();
  }
  return true;
}();

}  // namespace
}  // namespace mtl
