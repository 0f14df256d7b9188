// How an op gets into jit_compile=True: XLA custom calls through the typed FFI.
//
// Each op has an XlaOpKernel, which puts a custom call into the program when it is compiled, and a
// handler per platform, which the program calls when it runs and which calls the same kernels as
// the op does elsewhere.
#pragma once

#include <string_view>

#include "tensorflow/compiler/tf2xla/shape_util.h"
#include "tensorflow/compiler/tf2xla/xla_op_kernel.h"
#include "tensorflow/compiler/tf2xla/xla_op_registry.h"
#include "tensorflow/op_helpers.h"
#include "xla/ffi/api/ffi.h"
#include "xla/hlo/builder/xla_builder.h"
#include "xla/layout_util.h"
#include "xla/shape_util.h"

// Exported by TensorFlow; the header that declares it needs headers that are not in the wheel.
namespace xla::ffi {
const XLA_FFI_Api* GetXlaFfiApi();
}  // namespace xla::ffi

namespace mtl {

namespace ffi = ::xla::ffi;

// === Handlers: what the compiled program calls ===

inline ParallelFor InjectXlaPool(ffi::ThreadPool pool) {
  return WorkTogether(pool.num_threads(), [pool](std::function<void()> work) mutable {
    pool.Schedule([work] { work(); });
  });
}

inline ffi::Error ToError(const std::string& what_is_wrong) {
  return what_is_wrong.empty() ? ffi::Error::Success()
                               : ffi::Error(ffi::ErrorCode::kInvalidArgument, what_is_wrong);
}

inline ElementType ToElementType(ffi::DataType type) {
  if (type == ffi::BF16) return ElementType::bfloat16;
  if (type == ffi::F16) return ElementType::float16;
  return ElementType::float32;
}

// The operands and results of a call. A list that is too short is a bug of this file, not the
// user's, hence no message of its own.
class Call {
 public:
  Call(ffi::RemainingArgs args, ffi::RemainingRets results) : args_(args), results_(results) {}
  ffi::AnyBuffer Arg(size_t n) const { return args_.get<ffi::AnyBuffer>(n).value(); }
  void* Result(size_t n) const { return results_.get<ffi::AnyBuffer>(n).value()->untyped_data(); }

  std::vector<void*> Results(int count) const {
    std::vector<void*> pointers(count);
    for (int n = 0; n < count; ++n) pointers[n] = Result(n);
    return pointers;
  }

 private:
  ffi::RemainingArgs args_;
  ffi::RemainingRets results_;
};

inline auto BindHost() {
  return ffi::Ffi::Bind().RemainingArgs().RemainingRets().Ctx<ffi::ThreadPool>();
}

#if defined(MTL_WITH_CUDA)
// What a handler runs CUDA kernels with.
struct OnCuda {
  CudaStream stream;
  ffi::ScratchAllocator scratch;

  static std::string Text(CudaStatus status) {
    return status == 0 ? "" : std::string("CUDA kernel: ") + CudaErrorText(status);
  }
  template <typename Function>
  std::string WithWorkspace(int64_t doubles, const Function& function) {
    const auto memory = scratch.Allocate(std::max<int64_t>(doubles, 1) * sizeof(double), 256);
    return memory ? Text(function(static_cast<double*>(*memory)))
                  : "CUDA kernel: no memory for the workspace";
  }
};

// A call may become part of a CUDA graph if it takes no memory of its own: the graph would keep the
// address of a workspace that is given back.
#define MTL_WITHOUT_WORKSPACE {ffi::Traits::kCmdBufferCompatible}

inline auto BindCuda() {
  return ffi::Ffi::Bind()
      .RemainingArgs()
      .RemainingRets()
      .Ctx<ffi::PlatformStream<CudaStream>>()
      .Ctx<ffi::ScratchAllocator>();
}
#endif

// === XLA op kernels: what puts the call into the program ===

inline xla::XlaOp EmitCall(tf::XlaOpKernelContext* context, const std::string& target,
                           const std::vector<xla::Shape>& results, const std::string& attributes) {
  std::vector<xla::XlaOp> operands;
  for (int n = 0; n < context->num_inputs(); ++n) operands.push_back(context->Input(n));
  // Row-major operands and results: XLA gives its own layouts to what is not constrained.
  std::vector<xla::Shape> shapes;
  for (const xla::XlaOp& operand : operands) {
    auto shape = context->builder()->GetShape(operand);
    if (!shape.ok()) return context->builder()->ReportError(shape.status());
    xla::LayoutUtil::SetToDefaultLayout(&*shape);
    shapes.push_back(*std::move(shape));
  }
  xla::Shape result = xla::ShapeUtil::MakeTupleShape(results);
  xla::LayoutUtil::SetToDefaultLayout(&result);
  return xla::CustomCallWithLayout(
      context->builder(), target, operands, result, shapes, attributes, /*has_side_effect=*/false,
      /*output_operand_aliasing=*/{}, /*literal=*/nullptr, xla::CustomCallSchedule::SCHEDULE_NONE,
      xla::CustomCallApiVersion::API_VERSION_TYPED_FFI);
}

// Registered for XLA's devices one by one: REGISTER_XLA_OP is heeded only by what is loaded before
// TensorFlow runs its first op.
#define MTL_REGISTER_XLA(name, Op)                                               \
  REGISTER_KERNEL_BUILDER(Name("Mtl>" name).Device(tf::DEVICE_CPU_XLA_JIT), Op); \
  REGISTER_KERNEL_BUILDER(Name("Mtl>" name).Device(tf::DEVICE_GPU_XLA_JIT), Op)

}  // namespace mtl
