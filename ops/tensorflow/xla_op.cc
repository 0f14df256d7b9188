// All native ops inside jit_compile=True: XLA custom calls through the typed FFI.
//
// `XlaOp` puts a custom call into the program when it is compiled; the program calls a handler when
// it runs, which runs the same call as the op does elsewhere. One handler serves all ops, under a
// second name for those that need a workspace on the GPU: a call may become part of a CUDA graph
// only if it takes no memory of its own, whose address the graph would keep.
#include <string_view>

#include "tensorflow/compiler/tf2xla/shape_util.h"
#include "tensorflow/compiler/tf2xla/xla_op_kernel.h"
#include "tensorflow/compiler/tf2xla/xla_op_registry.h"
#include "tensorflow/helpers.h"
#include "xla/ffi/api/ffi.h"
#include "xla/hlo/builder/xla_builder.h"
#include "xla/layout_util.h"
#include "xla/shape_util.h"

// Exported by TensorFlow; the header that declares it needs headers that are not in the wheel.
namespace xla::ffi {
const XLA_FFI_Api* GetXlaFfiApi();
}  // namespace xla::ffi

namespace mtl {
namespace {

namespace ffi = ::xla::ffi;

constexpr char kTarget[] = "MtlOp";
constexpr char kTargetWithWorkspace[] = "MtlOpWithWorkspace";

// === Handlers: what the compiled program calls ===

DType ToDType(ffi::DataType type) {
  switch (type) {
    case ffi::F32:
      return DType::float32;
    case ffi::BF16:
      return DType::bfloat16;
    case ffi::F16:
      return DType::float16;
    case ffi::S32:
      return DType::int32;
    case ffi::F64:
      return DType::float64;
    default:
      return DType::other;
  }
}

// The call that a handler received.
Error ReadCall(ffi::RemainingArgs args, ffi::RemainingRets results, std::string_view name,
               ffi::Span<const int64_t> numbers, std::unique_ptr<const PreparedCall>* call,
               Buffers* buffers) {
  const Op* op = FindOp(std::string(name));
  if (op == nullptr) return "no op of that name in the table";
  CallSpec spec;
  spec.numbers.assign(numbers.begin(), numbers.end());
  spec.inputs.reserve(args.size());
  buffers->inputs.reserve(args.size());
  for (size_t n = 0; n < args.size(); ++n) {
    const ffi::AnyBuffer array = args.get<ffi::AnyBuffer>(n).value();
    const auto dims = array.dimensions();
    spec.inputs.push_back({ToDType(array.element_type()), Dims(dims.begin(), dims.end())});
    buffers->inputs.push_back(array.untyped_data());
  }
  for (size_t n = 0; n < results.size(); ++n) {
    buffers->results.push_back(results.get<ffi::AnyBuffer>(n).value()->untyped_data());
  }
  if (Error error = op->prepare(spec, call)) return error;
  if ((*call)->results().size() != results.size()) return "numbers: they make other results";
  return {};
}

ffi::Error ToFfi(const Error& error) {
  return error ? ffi::Error(ffi::ErrorCode::kInvalidArgument, error.text) : ffi::Error::Success();
}

ffi::Error OnHost(ffi::RemainingArgs args, ffi::RemainingRets results, ffi::ThreadPool pool,
                  std::string_view name, ffi::Span<const int64_t> numbers) {
  std::unique_ptr<const PreparedCall> call;
  Buffers buffers;
  if (Error error = ReadCall(args, results, name, numbers, &call, &buffers)) return ToFfi(error);
  return ToFfi(call->Run(
      buffers, WorkTogether(pool.num_threads(), [pool](std::function<void()> work) mutable {
        pool.Schedule([work] { work(); });
      })));
}
XLA_FFI_DEFINE_HANDLER(kOnHost, OnHost,
                       ffi::Ffi::Bind()
                           .RemainingArgs()
                           .RemainingRets()
                           .Ctx<ffi::ThreadPool>()
                           .Attr<std::string_view>("name")
                           .Attr<ffi::Span<const int64_t>>("numbers"));
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTarget, "Host", kOnHost);
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), kTargetWithWorkspace, "Host", kOnHost);

#if defined(MTL_WITH_CUDA)
ffi::Error OnDevice(ffi::RemainingArgs args, ffi::RemainingRets results, CudaStream stream,
                    ffi::ScratchAllocator scratch, std::string_view name,
                    ffi::Span<const int64_t> numbers) {
  std::unique_ptr<const PreparedCall> call;
  Buffers buffers;
  if (Error error = ReadCall(args, results, name, numbers, &call, &buffers)) return ToFfi(error);
  double* workspace = nullptr;
  if (const int64_t doubles = call->WorkspaceSize(buffers); doubles > 0) {
    if (!FindOp(std::string(name))->needs_workspace) {
      return ToFfi("the op's row in the table says that it needs no workspace");
    }
    const auto memory = scratch.Allocate(doubles * sizeof(double), 256);
    if (!memory) return ToFfi("CUDA kernel: no memory for the workspace");
    workspace = static_cast<double*>(*memory);
  }
  const CudaStatus status = call->RunCuda(buffers, workspace, stream);
  return ToFfi(status == 0 ? Error() : std::string("CUDA kernel: ") + CudaErrorText(status));
}
#define MTL_DEVICE_HANDLER(handler, target, traits)                      \
  XLA_FFI_DEFINE_HANDLER(handler, OnDevice,                              \
                         ffi::Ffi::Bind()                                \
                             .RemainingArgs()                            \
                             .RemainingRets()                            \
                             .Ctx<ffi::PlatformStream<CudaStream>>()     \
                             .Ctx<ffi::ScratchAllocator>()               \
                             .Attr<std::string_view>("name")             \
                             .Attr<ffi::Span<const int64_t>>("numbers"), \
                         traits);                                        \
  XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), target, "CUDA", handler)

MTL_DEVICE_HANDLER(kOnDevice, kTarget, {ffi::Traits::kCmdBufferCompatible});
MTL_DEVICE_HANDLER(kOnDeviceWithWorkspace, kTargetWithWorkspace, {});
#endif

// === The XLA op: what puts the call into the program ===

class XlaOp : public tf::XlaOpKernel {
 public:
  explicit XlaOp(tf::OpKernelConstruction* context) : XlaOpKernel(context) {
    OP_REQUIRES_OK(context, ReadNode(context, &op_, &numbers_));
  }

  void Compile(tf::XlaOpKernelContext* context) override {
    CallSpec spec;
    spec.numbers = numbers_;
    for (int n = 0; n < context->num_inputs(); ++n) {
      spec.inputs.push_back(SpecOf(context->input_type(n), context->InputShape(n)));
    }
    std::unique_ptr<const PreparedCall> call;
    OP_REQUIRES_OK(context, ToStatus(op_->prepare(spec, &call)));
    std::vector<xla::Shape> results(call->results().size());
    for (size_t n = 0; n < results.size(); ++n) {
      const auto& [dtype, dims] = call->results()[n];
      OP_REQUIRES_OK(context, tf::TensorShapeToXLAShape(ToDataType(dtype), tf::TensorShape(dims),
                                                        &results[n]));
    }
    const xla::XlaOp tuple = CustomCall(context, results);
    for (int n = 0; n < context->num_outputs(); ++n) {
      context->SetOutput(n, xla::GetTupleElement(tuple, n));
    }
  }

 private:
  // With row-major operands and results: XLA gives its own layouts to what is not constrained.
  xla::XlaOp CustomCall(tf::XlaOpKernelContext* context,
                        const std::vector<xla::Shape>& results) const {
    std::vector<xla::XlaOp> operands;
    std::vector<xla::Shape> shapes;
    for (int n = 0; n < context->num_inputs(); ++n) {
      operands.push_back(context->Input(n));
      auto shape = context->builder()->GetShape(operands.back());
      if (!shape.ok()) return context->builder()->ReportError(shape.status());
      xla::LayoutUtil::SetToDefaultLayout(&*shape);
      shapes.push_back(*std::move(shape));
    }
    xla::Shape result = xla::ShapeUtil::MakeTupleShape(results);
    xla::LayoutUtil::SetToDefaultLayout(&result);
    const std::string attributes =
        absl::StrCat("{name = \"", op_->name, "\", numbers = array<i64",
                     numbers_.empty() ? "" : ": ", absl::StrJoin(numbers_, ", "), ">}");
    return xla::CustomCallWithLayout(
        context->builder(), op_->needs_workspace ? kTargetWithWorkspace : kTarget, operands, result,
        shapes, attributes, /*has_side_effect=*/false, /*output_operand_aliasing=*/{},
        /*literal=*/nullptr, xla::CustomCallSchedule::SCHEDULE_NONE,
        xla::CustomCallApiVersion::API_VERSION_TYPED_FFI);
  }

  const Op* op_;
  std::vector<int64_t> numbers_;
};

// For XLA's devices one by one: REGISTER_XLA_OP takes effect only in what is loaded before
// TensorFlow runs its first op.
[[maybe_unused]] const bool is_registered = (RegisterAllOps<XlaOp>(tf::DEVICE_CPU_XLA_JIT),
                                             RegisterAllOps<XlaOp>(tf::DEVICE_GPU_XLA_JIT), true);

}  // namespace
}  // namespace mtl
