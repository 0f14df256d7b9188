// The table of all native ops, and what they check alike.
#include "kernels/op_table.h"

namespace mtl {
namespace {

struct DTypeName {
  DType dtype;
  const char* name;
};

constexpr DTypeName kDTypeNames[] = {
    {DType::float32, "float32"}, {DType::bfloat16, "bfloat16"}, {DType::float16, "float16"},
    {DType::int32, "int32"},     {DType::float64, "float64"},
};

}  // namespace

const std::vector<Op>& Ops() {
  static const std::vector<Op> table = [] {
    std::vector<Op> ops;
    for (const auto& rows : {GradientOps(), BalanceOps(), AttentionDistillationOps(),
                             CrossStitchOps(), AffinityDiffusionOps(), UpsampleLossOps()}) {
      ops.insert(ops.end(), rows.begin(), rows.end());
    }
    return ops;
  }();
  return table;
}

const Op* FindOp(const std::string& name) {
  for (const Op& op : Ops()) {
    if (name == op.name) return &op;
  }
  return nullptr;
}

int64_t NumElements(const Dims& dims) {
  int64_t count = 1;
  for (const int64_t size : dims) count *= size;
  return count;
}

std::string Text(const Dims& dims) {
  std::string text;
  for (const int64_t size : dims) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

const char* NameOf(DType dtype) {
  for (const DTypeName& row : kDTypeNames) {
    if (row.dtype == dtype) return row.name;
  }
  return "an unknown type";
}

DType DTypeNamed(const std::string& name) {
  for (const DTypeName& row : kDTypeNames) {
    if (row.name == name) return row.dtype;
  }
  return DType::other;
}

bool IsFeatureType(DType dtype) {
  return dtype == DType::float32 || dtype == DType::bfloat16 || dtype == DType::float16;
}

Error Expect(const ArraySpec& spec, const char* name, DType dtype, const Dims& dims) {
  if (spec.dtype == dtype && spec.dims == dims) return {};
  return std::string(name) + ": expected shape " + Text(dims) + " of " + NameOf(dtype) +
         ", received " + Text(spec.dims) + " of " + NameOf(spec.dtype);
}

}  // namespace mtl
