// The ops on task gradients inside jit_compile=True (xla_calls.h). All of them are in this file
// because XLA's headers take a minute to compile.
#include "kernels/balance_names.h"
#include "kernels/gradients/grad_drop.h"
#include "kernels/gradients/gradient_projection.h"
#include "kernels/gradients/gramian.h"
#include "kernels/gradients/weighted_sum.h"
#include "tensorflow/xla_calls.h"

namespace mtl {
namespace {

using Slots = ffi::Span<const int64_t>;

std::string Fill(const Call& call, Slots slots, TaskGradientTable* table) {
  for (size_t n = 0; n < slots.size(); ++n) {
    const ffi::AnyBuffer gradient = call.Arg(n);
    const std::string what_is_wrong =
        table->Set(slots[n], gradient.untyped_data(), gradient.element_count());
    if (!what_is_wrong.empty()) return what_is_wrong;
  }
  return "";
}

TaskGradientTable NewTable(const Call& call, int64_t num_tasks, int64_t num_tensors) {
  return TaskGradientTable(static_cast<int>(num_tasks), static_cast<int>(num_tensors),
                           ToElementType(call.Arg(0).element_type()));
}

// How a handler runs kernels on each platform.
struct HostRun {
  ffi::ThreadPool pool;
  static constexpr bool kIsHost = true;
  std::string operator()(const GramianArgs& args) { return Gramian(args, InjectXlaPool(pool)), ""; }
  std::string operator()(const WeightedSumArgs& args) {
    return WeightedSum(args, InjectXlaPool(pool)), "";
  }
  std::string operator()(const GradDropArgs& args) {
    return GradDrop(args, InjectXlaPool(pool)), "";
  }
  std::string operator()(const GradientProjectionArgs& args) {
    return GradientProjection(args, InjectXlaPool(pool)), "";
  }
  std::string operator()(const BalanceArgs& args) {
    std::vector<double> workspace(BalanceWorkspaceSize(args.num_tasks));
    return Balance(args, workspace.data()), "";
  }
};

#if defined(MTL_WITH_CUDA)
struct CudaRun : OnCuda {
  static constexpr bool kIsHost = false;
  std::string operator()(const GramianArgs& args) {
    return WithWorkspace(GramianWorkspaceSize(args.gradients),
                         [&](double* workspace) { return GramianCuda(args, workspace, stream); });
  }
  std::string operator()(const WeightedSumArgs& args) {
    return Text(WeightedSumCuda(args, stream));
  }
  std::string operator()(const GradDropArgs& args) { return Text(GradDropCuda(args, stream)); }
  std::string operator()(const GradientProjectionArgs& args) {
    return WithWorkspace(GradientProjectionWorkspaceSize(args.gradients), [&](double* workspace) {
      return GradientProjectionCuda(args, workspace, stream);
    });
  }
  std::string operator()(const BalanceArgs& args) {
    return WithWorkspace(BalanceWorkspaceSize(args.num_tasks),
                         [&](double* workspace) { return BalanceCuda(args, workspace, stream); });
  }
};
#endif

template <typename Run>
ffi::Error GramianCall(const Call& call, Run&& run, int64_t num_tasks, int64_t num_tensors,
                       Slots slots) {
  TaskGradientTable table = NewTable(call, num_tasks, num_tensors);
  const std::string what_is_wrong = Fill(call, slots, &table);
  if (!what_is_wrong.empty()) return ToError(what_is_wrong);
  return ToError(run(GramianArgs{table.View(), static_cast<double*>(call.Result(0))}));
}

template <typename Run>
ffi::Error WeightedSumCall(const Call& call, Run&& run, int64_t num_tasks, int64_t num_tensors,
                           Slots slots) {
  TaskGradientTable table = NewTable(call, num_tasks, num_tensors);
  const std::string what_is_wrong = Fill(call, slots, &table);
  if (!what_is_wrong.empty()) return ToError(what_is_wrong);
  const auto* weights = static_cast<const double*>(call.Arg(slots.size()).untyped_data());
  const std::vector<void*> sums = call.Results(num_tensors);
  return ToError(run(WeightedSumArgs{table.View(), weights, sums.data()}));
}

template <typename Run>
ffi::Error GradDropCall(const Call& call, Run&& run, int64_t num_tasks, int64_t num_tensors,
                        Slots slots) {
  TaskGradientTable table = NewTable(call, num_tasks, num_tensors);
  const std::string what_is_wrong = Fill(call, slots, &table);
  if (!what_is_wrong.empty()) return ToError(what_is_wrong);
  std::vector<const float*> uniform(num_tensors);
  for (int64_t v = 0; v < num_tensors; ++v) {
    uniform[v] = static_cast<const float*>(call.Arg(slots.size() + v).untyped_data());
  }
  const auto* leak = static_cast<const float*>(call.Arg(slots.size() + num_tensors).untyped_data());
  const std::vector<void*> directions = call.Results(num_tensors);
  return ToError(run(GradDropArgs{table.View(), uniform.data(), leak, directions.data()}));
}

template <typename Run>
ffi::Error GradientProjectionCall(const Call& call, Run&& run, int64_t num_tasks,
                                  int64_t num_tensors, Slots slots) {
  TaskGradientTable table = NewTable(call, num_tasks, num_tensors);
  std::string what_is_wrong = Fill(call, slots, &table);
  const auto* order = static_cast<const int32_t*>(call.Arg(slots.size()).untyped_data());
  if (what_is_wrong.empty() && Run::kIsHost) what_is_wrong = CheckOrder(order, num_tasks);
  if (!what_is_wrong.empty()) return ToError(what_is_wrong);
  const std::vector<void*> directions = call.Results(num_tensors);
  return ToError(run(GradientProjectionArgs{table.View(), order, directions.data(),
                                            static_cast<double*>(call.Result(num_tensors))}));
}

template <typename Run>
ffi::Error BalanceCall(const Call& call, Run&& run, std::string_view method,
                       std::string_view scale) {
  BalanceArgs args{};
  std::string what_is_wrong = ParseBalanceMethod(std::string(method), &args.method);
  if (what_is_wrong.empty()) what_is_wrong = ParseAlignedScale(std::string(scale), &args.scale);
  if (!what_is_wrong.empty()) return ToError(what_is_wrong);
  const auto optional = [&](size_t n) -> const void* {
    return call.Arg(n).element_count() == 0 ? nullptr : call.Arg(n).untyped_data();
  };
  args.num_tasks = static_cast<int>(call.Arg(0).dimensions()[0]);
  args.parameter = static_cast<const double*>(call.Arg(4).untyped_data());
  args.gramian = static_cast<const double*>(call.Arg(0).untyped_data());
  args.preference = static_cast<const double*>(optional(1));
  args.order = static_cast<const int32_t*>(optional(2));
  args.targets = static_cast<const double*>(optional(3));
  if (Run::kIsHost) what_is_wrong = CheckBalanceParameter(args.method, *args.parameter);
  if (what_is_wrong.empty() && args.order != nullptr && Run::kIsHost)
    what_is_wrong = CheckOrder(args.order, args.num_tasks);
  if (!what_is_wrong.empty()) return ToError(what_is_wrong);
  args.weights = static_cast<double*>(call.Result(0));
  args.status = static_cast<int32_t*>(call.Result(1));
  args.residual = static_cast<double*>(call.Result(2));
  args.new_targets = static_cast<double*>(call.Result(3));
  return ToError(run(args));
}

#define MTL_HOST_HANDLER(Name)                                                                     \
  ffi::Error Name##Host(ffi::RemainingArgs args, ffi::RemainingRets results, ffi::ThreadPool pool, \
                        int64_t num_tasks, int64_t num_tensors, Slots slots) {                     \
    return Name##Call({args, results}, HostRun{pool}, num_tasks, num_tensors, slots);              \
  }                                                                                                \
  XLA_FFI_DEFINE_HANDLER(                                                                          \
      k##Name##Host, Name##Host,                                                                   \
      BindHost().Attr<int64_t>("num_tasks").Attr<int64_t>("num_tensors").Attr<Slots>("slots"));    \
  XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), "Mtl" #Name, "Host", k##Name##Host)

MTL_HOST_HANDLER(Gramian);
MTL_HOST_HANDLER(WeightedSum);
MTL_HOST_HANDLER(GradDrop);
MTL_HOST_HANDLER(GradientProjection);

ffi::Error BalanceHost(ffi::RemainingArgs args, ffi::RemainingRets results, ffi::ThreadPool pool,
                       std::string_view method, std::string_view scale) {
  return BalanceCall({args, results}, HostRun{pool}, method, scale);
}
XLA_FFI_DEFINE_HANDLER(kBalanceHost, BalanceHost,
                       BindHost().Attr<std::string_view>("method").Attr<std::string_view>("scale"));
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), "MtlBalance", "Host", kBalanceHost);

#if defined(MTL_WITH_CUDA)
#define MTL_CUDA_HANDLER(Name, traits)                                                          \
  ffi::Error Name##Cuda(ffi::RemainingArgs args, ffi::RemainingRets results, CudaStream stream, \
                        ffi::ScratchAllocator scratch, int64_t num_tasks, int64_t num_tensors,  \
                        Slots slots) {                                                          \
    return Name##Call({args, results}, CudaRun{{stream, std::move(scratch)}}, num_tasks,        \
                      num_tensors, slots);                                                      \
  }                                                                                             \
  XLA_FFI_DEFINE_HANDLER(                                                                       \
      k##Name##Cuda, Name##Cuda,                                                                \
      BindCuda().Attr<int64_t>("num_tasks").Attr<int64_t>("num_tensors").Attr<Slots>("slots"),  \
      traits);                                                                                  \
  XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), "Mtl" #Name, "CUDA", k##Name##Cuda)

MTL_CUDA_HANDLER(Gramian, {});
MTL_CUDA_HANDLER(WeightedSum, MTL_WITHOUT_WORKSPACE);
MTL_CUDA_HANDLER(GradDrop, MTL_WITHOUT_WORKSPACE);
MTL_CUDA_HANDLER(GradientProjection, {});

ffi::Error BalanceOnCuda(ffi::RemainingArgs args, ffi::RemainingRets results, CudaStream stream,
                         ffi::ScratchAllocator scratch, std::string_view method,
                         std::string_view scale) {
  return BalanceCall({args, results}, CudaRun{{stream, std::move(scratch)}}, method, scale);
}
XLA_FFI_DEFINE_HANDLER(kBalanceCuda, BalanceOnCuda,
                       BindCuda().Attr<std::string_view>("method").Attr<std::string_view>("scale"));
XLA_FFI_REGISTER_HANDLER(ffi::GetXlaFfiApi(), "MtlBalance", "CUDA", kBalanceCuda);
#endif

// === XLA op kernels: what puts the call into the program ===

// Base of the ops on task gradients.
class TaskGradientXlaOp : public tf::XlaOpKernel {
 public:
  explicit TaskGradientXlaOp(tf::OpKernelConstruction* context) : XlaOpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

 protected:
  int num_tasks() const { return attributes_.num_tasks; }
  int num_tensors() const { return attributes_.num_tensors; }
  int num_gradients() const { return static_cast<int>(attributes_.slots.size()); }

  std::string AttributeText() const {
    return absl::StrCat("{num_tasks = ", num_tasks(), " : i64, num_tensors = ", num_tensors(),
                        " : i64, slots = array<i64: ", absl::StrJoin(attributes_.slots, ", "),
                        ">}");
  }

  // The shapes of the V results, which are those of the gradients.
  absl::Status ResultShapes(tf::XlaOpKernelContext* context,
                            std::vector<xla::Shape>* shapes) const {
    std::vector<bool> is_known(num_tensors(), false);
    shapes->resize(num_tensors());
    for (int n = 0; n < num_gradients(); ++n) {
      const int tensor = static_cast<int>(attributes_.slots[n] % num_tensors());
      xla::Shape shape;
      TF_RETURN_IF_ERROR(
          tf::TensorShapeToXLAShape(context->input_type(n), context->InputShape(n), &shape));
      if (is_known[tensor] && !xla::ShapeUtil::Equal(shape, (*shapes)[tensor])) {
        return absl::InvalidArgumentError(absl::StrCat(
            "task_gradients: expected one shape for tensor ", tensor, " of all tasks"));
      }
      (*shapes)[tensor] = shape;
      is_known[tensor] = true;
    }
    for (int v = 0; v < num_tensors(); ++v) {
      if (!is_known[v]) {
        return absl::InvalidArgumentError("every tensor needs the gradient of at least one task");
      }
    }
    return absl::OkStatus();
  }

  void SetResults(tf::XlaOpKernelContext* context, xla::XlaOp call, int count) const {
    for (int n = 0; n < count; ++n) context->SetOutput(n, xla::GetTupleElement(call, n));
  }

 private:
  TaskGradientAttributes attributes_;
};

xla::Shape Float64Shape(std::vector<int64_t> dimensions) {
  return xla::ShapeUtil::MakeShape(xla::F64, dimensions);
}

class GramianXlaOp : public TaskGradientXlaOp {
 public:
  using TaskGradientXlaOp::TaskGradientXlaOp;
  void Compile(tf::XlaOpKernelContext* context) override {
    std::vector<xla::Shape> shapes;
    OP_REQUIRES_OK(context, ResultShapes(context, &shapes));
    const xla::XlaOp call = EmitCall(context, "MtlGramian",
                                     {Float64Shape({num_tasks(), num_tasks()})}, AttributeText());
    SetResults(context, call, 1);
  }
};

class WeightedSumXlaOp : public TaskGradientXlaOp {
 public:
  using TaskGradientXlaOp::TaskGradientXlaOp;
  void Compile(tf::XlaOpKernelContext* context) override {
    std::vector<xla::Shape> shapes;
    OP_REQUIRES_OK(context, ResultShapes(context, &shapes));
    OP_REQUIRES(
        context, context->InputShape(num_gradients()) == tf::TensorShape({num_tasks()}),
        absl::InvalidArgumentError(absl::StrCat("weights: expected shape [", num_tasks(), "]")));
    SetResults(context, EmitCall(context, "MtlWeightedSum", shapes, AttributeText()),
               num_tensors());
  }
};

class GradDropXlaOp : public TaskGradientXlaOp {
 public:
  using TaskGradientXlaOp::TaskGradientXlaOp;
  void Compile(tf::XlaOpKernelContext* context) override {
    std::vector<xla::Shape> shapes;
    OP_REQUIRES_OK(context, ResultShapes(context, &shapes));
    for (int v = 0; v < num_tensors(); ++v) {
      OP_REQUIRES(context,
                  context->InputShape(num_gradients() + v).num_elements() ==
                      xla::ShapeUtil::ElementsIn(shapes[v]),
                  absl::InvalidArgumentError(absl::StrCat("uniform: expected ",
                                                          xla::ShapeUtil::ElementsIn(shapes[v]),
                                                          " elements in tensor ", v)));
    }
    OP_REQUIRES(
        context,
        context->InputShape(num_gradients() + num_tensors()) == tf::TensorShape({num_tasks()}),
        absl::InvalidArgumentError(absl::StrCat("leak: expected shape [", num_tasks(), "]")));
    SetResults(context, EmitCall(context, "MtlGradDrop", shapes, AttributeText()), num_tensors());
  }
};

class GradientProjectionXlaOp : public TaskGradientXlaOp {
 public:
  using TaskGradientXlaOp::TaskGradientXlaOp;
  void Compile(tf::XlaOpKernelContext* context) override {
    std::vector<xla::Shape> shapes;
    OP_REQUIRES_OK(context, ResultShapes(context, &shapes));
    OP_REQUIRES(
        context,
        context->InputShape(num_gradients()) == tf::TensorShape({num_tasks(), num_tasks() - 1}),
        absl::InvalidArgumentError(
            absl::StrCat("order: expected shape [", num_tasks(), ", ", num_tasks() - 1, "]")));
    shapes.push_back(Float64Shape({num_tasks()}));
    SetResults(context, EmitCall(context, "MtlGradientProjection", shapes, AttributeText()),
               num_tensors() + 1);
  }
};

class BalanceXlaOp : public tf::XlaOpKernel {
 public:
  explicit BalanceXlaOp(tf::OpKernelConstruction* context) : XlaOpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("method", &method_));
    OP_REQUIRES_OK(context, context->GetAttr("scale", &scale_));
    BalanceMethod method;
    AlignedScale scale;
    OP_REQUIRES_OK(context, InvalidIf(ParseBalanceMethod(method_, &method)));
    OP_REQUIRES_OK(context, InvalidIf(ParseAlignedScale(scale_, &scale)));
  }

  void Compile(tf::XlaOpKernelContext* context) override {
    const tf::TensorShape shape = context->InputShape(0);
    OP_REQUIRES(context, shape.dims() == 2 && shape.dim_size(0) == shape.dim_size(1),
                absl::InvalidArgumentError("gramian: expected shape [K, K]"));
    const int64_t num_tasks = shape.dim_size(0);
    OP_REQUIRES_OK(context, InvalidIf(CheckNumTasks(num_tasks)));
    const tf::TensorShape expected[] = {
        {num_tasks}, {num_tasks, num_tasks - 1}, {num_tasks, num_tasks}};
    const char* names[] = {"preference", "order", "targets"};
    for (int n = 0; n < 3; ++n) {
      const tf::TensorShape received = context->InputShape(n + 1);
      OP_REQUIRES(context, received.num_elements() == 0 || received == expected[n],
                  absl::InvalidArgumentError(absl::StrCat(names[n], ": expected shape ",
                                                          expected[n].DebugString(), ", received ",
                                                          received.DebugString())));
    }
    OP_REQUIRES(context, context->InputShape(4).num_elements() == 1,
                absl::InvalidArgumentError("parameter: expected a scalar"));
    const xla::XlaOp call =
        EmitCall(context, "MtlBalance",
                 {Float64Shape({num_tasks}), xla::ShapeUtil::MakeShape(xla::S32, {}),
                  Float64Shape({}), Float64Shape({num_tasks, num_tasks})},
                 absl::StrCat("{method = \"", method_, "\", scale = \"", scale_, "\"}"));
    for (int n = 0; n < 4; ++n) context->SetOutput(n, xla::GetTupleElement(call, n));
  }

 private:
  std::string method_, scale_;
};

MTL_REGISTER_XLA("Gramian", GramianXlaOp);
MTL_REGISTER_XLA("WeightedSum", WeightedSumXlaOp);
MTL_REGISTER_XLA("GradDrop", GradDropXlaOp);
MTL_REGISTER_XLA("GradientProjection", GradientProjectionXlaOp);
MTL_REGISTER_XLA("Balance", BalanceXlaOp);

}  // namespace
}  // namespace mtl
