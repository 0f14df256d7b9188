// The ops on feature maps inside jit_compile=True (xla_calls.h): one handler for all of them, under
// a second name for those that need a workspace on the GPU.
#include "tensorflow/feature_ops.h"
#include "tensorflow/xla_calls.h"

namespace mtl {
namespace {

constexpr char kTarget[] = "MtlFeatureOp";
constexpr char kTargetWithWorkspace[] = "MtlFeatureOpWithWorkspace";

ArrayType ToArrayType(ffi::DataType type) {
  switch (type) {
    case ffi::F32:
      return ArrayType::float32;
    case ffi::BF16:
      return ArrayType::bfloat16;
    case ffi::F16:
      return ArrayType::float16;
    case ffi::S32:
      return ArrayType::int32;
    default:
      return ArrayType::other;
  }
}

// The call that a handler received; what is wrong with it.
std::string Read(ffi::RemainingArgs args, ffi::RemainingRets rets, std::string_view name,
                 ffi::Span<const int64_t> numbers, const FeatureOp** op, ArrayCall* call) {
  *op = FindFeatureOp(std::string(name));
  if (*op == nullptr) return "no op of that name in the table";
  const Call arrays(args, rets);
  for (size_t n = 0; n < args.size(); ++n) {
    const ffi::AnyBuffer array = arrays.Arg(n);
    const auto dims = array.dimensions();
    call->specs.push_back({ToArrayType(array.element_type()), Dims(dims.begin(), dims.end())});
    call->inputs.push_back(array.untyped_data());
  }
  call->results = arrays.Results(static_cast<int>(rets.size()));
  call->numbers.assign(numbers.begin(), numbers.end());
  return "";
}

ffi::Error OnHost(ffi::RemainingArgs args, ffi::RemainingRets results, ffi::ThreadPool pool,
                  std::string_view name, ffi::Span<const int64_t> numbers) {
  const FeatureOp* op;
  ArrayCall call;
  const std::string what_is_wrong = Read(args, results, name, numbers, &op, &call);
  if (what_is_wrong.empty()) op->run(call, InjectXlaPool(pool));
  return ToError(what_is_wrong);
}
XLA_FFI_DEFINE_HANDLER(
    kOnHost, OnHost,
    BindHost().Attr<std::string_view>("name").Attr<ffi::Span<const int64_t>>("numbers"));
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTarget, "Host", kOnHost);
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTargetWithWorkspace, "Host", kOnHost);

#if defined(MTL_WITH_CUDA)
ffi::Error OnDevice(ffi::RemainingArgs args, ffi::RemainingRets results, CudaStream stream,
                    ffi::ScratchAllocator scratch, std::string_view name,
                    ffi::Span<const int64_t> numbers) {
  const FeatureOp* op;
  ArrayCall call;
  const std::string what_is_wrong = Read(args, results, name, numbers, &op, &call);
  if (!what_is_wrong.empty()) return ToError(what_is_wrong);
  if (op->workspace_size == nullptr) {
    return ToError(OnCuda::Text(op->run_cuda(call, nullptr, stream)));
  }
  OnCuda cuda{stream, std::move(scratch)};
  return ToError(cuda.WithWorkspace(op->workspace_size(call), [&](double* workspace) {
    return op->run_cuda(call, workspace, stream);
  }));
}
#define MTL_DEVICE_HANDLER(handler, target, traits)                                        \
  XLA_FFI_DEFINE_HANDLER(                                                                  \
      handler, OnDevice,                                                                   \
      BindCuda().Attr<std::string_view>("name").Attr<ffi::Span<const int64_t>>("numbers"), \
      traits);                                                                             \
  XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), target, "CUDA", handler)

MTL_DEVICE_HANDLER(kOnDevice, kTarget, MTL_WITHOUT_WORKSPACE);
MTL_DEVICE_HANDLER(kOnDeviceWithWorkspace, kTargetWithWorkspace, {});
#endif

const char* TargetOf([[maybe_unused]] const FeatureOp& op) {
#if defined(MTL_WITH_CUDA)
  if (op.workspace_size != nullptr) return kTargetWithWorkspace;
#endif
  return kTarget;
}

class FeatureXlaOp : public tf::XlaOpKernel {
 public:
  explicit FeatureXlaOp(tf::OpKernelConstruction* context) : XlaOpKernel(context) {
    OP_REQUIRES_OK(context, FeatureOpOf(context, &op_, &numbers_));
  }

  void Compile(tf::XlaOpKernelContext* context) override {
    ArrayCall call;
    call.numbers = numbers_;
    for (int n = 0; n < context->num_inputs(); ++n) {
      call.specs.push_back(
          {mtl::ToArrayType(context->input_type(n)), DimsOf(context->InputShape(n))});
    }
    std::vector<ArraySpec> results;
    OP_REQUIRES_OK(context, InvalidIf(op_->check(call, &results)));
    std::vector<xla::Shape> shapes(results.size());
    for (size_t n = 0; n < results.size(); ++n) {
      OP_REQUIRES_OK(context,
                     tf::TensorShapeToXLAShape(ToDataType(results[n].type),
                                               tf::TensorShape(results[n].dims), &shapes[n]));
    }
    const std::string attributes =
        absl::StrCat("{name = \"", op_->name, "\", numbers = array<i64",
                     numbers_.empty() ? "" : ": ", absl::StrJoin(numbers_, ", "), ">}");
    const xla::XlaOp results_of_call = EmitCall(context, TargetOf(*op_), shapes, attributes);
    for (int n = 0; n < context->num_outputs(); ++n) {
      context->SetOutput(n, xla::GetTupleElement(results_of_call, n));
    }
  }

 private:
  const FeatureOp* op_;
  std::vector<int64_t> numbers_;
};

#define MTL_REGISTER(name) MTL_REGISTER_XLA(name, FeatureXlaOp);
MTL_FOR_EACH_FEATURE_OP(MTL_REGISTER)

}  // namespace
}  // namespace mtl
