// What the adapters of the ops on feature maps share, in and outside of XLA.
#pragma once

#include "kernels/array_call.h"
#include "tensorflow/op_helpers.h"

// The rows of FeatureOps(): those with a CUDA kernel, and all.
#define MTL_FOR_EACH_FEATURE_OP(F) \
  F("AttentionDistillation")       \
  F("AttentionDistillationGrad")   \
  F("CrossStitch")                 \
  F("CrossStitchGrad")             \
  F("UpsampleCrossEntropy")        \
  F("UpsampleL1")                  \
  F("AffinityDiffusion")           \
  F("AffinityDiffusionGrad")

namespace mtl {

inline ArrayType ToArrayType(tf::DataType type) {
  switch (type) {
    case tf::DT_FLOAT:
      return ArrayType::float32;
    case tf::DT_BFLOAT16:
      return ArrayType::bfloat16;
    case tf::DT_HALF:
      return ArrayType::float16;
    case tf::DT_INT32:
      return ArrayType::int32;
    default:
      return ArrayType::other;
  }
}

inline tf::DataType ToDataType(ArrayType type) {
  switch (type) {
    case ArrayType::bfloat16:
      return tf::DT_BFLOAT16;
    case ArrayType::float16:
      return tf::DT_HALF;
    case ArrayType::int32:
      return tf::DT_INT32;
    default:
      return tf::DT_FLOAT;
  }
}

inline Dims DimsOf(const tf::TensorShape& shape) {
  Dims dims;
  for (int d = 0; d < shape.dims(); ++d) dims.push_back(shape.dim_size(d));
  return dims;
}

// The row of the table that an op kernel stands for, and the op's numbers.
inline absl::Status FeatureOpOf(tf::OpKernelConstruction* context, const FeatureOp** op,
                                std::vector<int64_t>* numbers) {
  const std::string type = context->def().op();
  *op = FindFeatureOp(type.substr(type.find('>') + 1));
  if (*op == nullptr) return absl::InternalError(absl::StrCat(type, " is not in the table"));
  return context->GetAttr("numbers", numbers);
}

}  // namespace mtl
