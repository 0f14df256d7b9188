// The table of the ops on feature maps: how the arrays of a call become a kernel's arguments.
#include "kernels/array_call.h"
#include "kernels/features/affinity/affinity_diffusion.h"
#include "kernels/features/attention_distillation.h"
#include "kernels/features/cross_stitch.h"
#include "kernels/features/upsampling/upsample_loss.h"

namespace mtl {
namespace {

// === What several ops need ===

ElementType ToElementType(ArrayType type) {
  if (type == ArrayType::bfloat16) return ElementType::bfloat16;
  if (type == ArrayType::float16) return ElementType::float16;
  return ElementType::float32;
}

std::string Text(const Dims& dims) {
  std::string text;
  for (const int64_t size : dims) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

// The shapes of inputs [begin, end); what is wrong with them: all must be maps of one type.
std::string ReadMaps(const ArrayCall& call, const char* name, size_t begin, size_t end,
                     std::vector<MapShape>* maps) {
  if (end > call.specs.size()) return std::string(name) + ": expected more arrays";
  for (size_t n = begin; n < end; ++n) {
    const ArraySpec& spec = call.specs[n];
    if (spec.dims.empty()) return std::string(name) + ": expected shapes [..., C], received []";
    if (spec.type == ArrayType::int32 || spec.type == ArrayType::other) {
      return std::string(name) + ": expected float32, bfloat16 or float16";
    }
    if (spec.type != call.specs[0].type) return std::string(name) + ": expected one type for all";
    maps->emplace_back(spec.dims);
  }
  return "";
}

// Results of the types and shapes of inputs [begin, end).
void LikeInputs(const ArrayCall& call, size_t begin, size_t end, std::vector<ArraySpec>* results) {
  results->insert(results->end(), call.specs.begin() + begin, call.specs.begin() + end);
}

// === AttentionDistillation, AttentionDistillationGrad ===
// inputs: T features (or their gradients), then M sources
// numbers: T, then five for each message (attention_distillation.h)

struct Distillation {
  std::string what_is_wrong;
  size_t num_targets = 0;
  MapShape shape;
  std::vector<MapShape> sources;
  MessageTable table;

  explicit Distillation(const ArrayCall& call) { what_is_wrong = Read(call); }

  std::string Read(const ArrayCall& call) {
    if (call.numbers.empty() || call.numbers[0] < 1) return "features: expected at least one map";
    num_targets = static_cast<size_t>(call.numbers[0]);
    std::vector<MapShape> features;
    std::string wrong = ReadMaps(call, "features", 0, num_targets, &features);
    if (wrong.empty()) wrong = CheckAlike("features", features, features[0]);
    if (wrong.empty()) wrong = ReadMaps(call, "sources", num_targets, call.specs.size(), &sources);
    if (!wrong.empty()) return wrong;
    shape = features[0];
    const std::vector<int64_t> messages(call.numbers.begin() + 1, call.numbers.end());
    return table.Set(messages, call.numbers[0], shape, sources);
  }

  // Of either kernel: their structs differ in names alone.
  template <typename Args>
  Args Arguments(const ArrayCall& call) const {
    return {shape.positions,
            shape.channels,
            ToElementType(call.specs[0].type),
            static_cast<int>(num_targets),
            table.first_message(),
            table.messages(),
            call.inputs.data() + num_targets,
            call.inputs.data(),
            call.results.data()};
  }
};

std::string CheckDistillation(const ArrayCall& call, std::vector<ArraySpec>* results) {
  const Distillation distillation(call);
  if (distillation.what_is_wrong.empty()) LikeInputs(call, 0, distillation.num_targets, results);
  return distillation.what_is_wrong;
}

std::string CheckDistillationGrad(const ArrayCall& call, std::vector<ArraySpec>* results) {
  const Distillation distillation(call);
  if (!distillation.what_is_wrong.empty()) return distillation.what_is_wrong;
  LikeInputs(call, distillation.num_targets, call.specs.size(), results);
  return distillation.table.CheckPartition(distillation.shape.channels, distillation.sources);
}

// === CrossStitch: K features, weights [K, K, C] float32 ===
// === CrossStitchGrad: K features, K gradients of the results, weights ===

std::string ReadStitch(const ArrayCall& call, size_t num_tasks, size_t num_maps) {
  std::vector<MapShape> maps;
  const std::string wrong = ReadMaps(call, "features", 0, num_maps, &maps);
  if (!wrong.empty()) return wrong;
  if (call.specs.back().type != ArrayType::float32) return "weights: expected float32";
  const std::vector<MapShape> features(maps.begin(), maps.begin() + num_tasks);
  const std::string misfit = CheckCrossStitch(features, call.specs.back().dims);
  return misfit.empty() ? CheckAlike("features", maps, maps[0]) : misfit;
}

std::string CheckStitch(const ArrayCall& call, std::vector<ArraySpec>* results) {
  if (call.specs.size() < 2) return "features: expected at least one map";
  const size_t num_tasks = call.specs.size() - 1;
  LikeInputs(call, 0, num_tasks, results);
  return ReadStitch(call, num_tasks, num_tasks);
}

std::string CheckStitchGrad(const ArrayCall& call, std::vector<ArraySpec>* results) {
  if (call.specs.size() < 3 || call.specs.size() % 2 == 0) {
    return "upstream: expected as many maps as features";
  }
  const size_t num_tasks = (call.specs.size() - 1) / 2;
  LikeInputs(call, 0, num_tasks, results);
  results->push_back(call.specs.back());
  return ReadStitch(call, num_tasks, 2 * num_tasks);
}

CrossStitchArgs StitchArgs(const ArrayCall& call) {
  const MapShape shape(call.specs[0].dims);
  return {shape.positions,
          shape.channels,
          ToElementType(call.specs[0].type),
          static_cast<int>(call.specs.size() - 1),
          static_cast<const float*>(call.inputs.back()),
          call.inputs.data(),
          call.results.data()};
}

CrossStitchGradArgs StitchGradArgs(const ArrayCall& call) {
  const MapShape shape(call.specs[0].dims);
  const int num_tasks = static_cast<int>(call.specs.size() - 1) / 2;
  return {shape.positions,
          shape.channels,
          ToElementType(call.specs[0].type),
          num_tasks,
          static_cast<const float*>(call.inputs.back()),
          call.inputs.data(),
          call.inputs.data() + num_tasks,
          call.results.data(),
          static_cast<float*>(call.results.back())};
}

// === AffinityDiffusion: S queries and S keys [B, ..., D], values [B, ..., C], mix [S] ===
// results: [B, ..., C], softmax [2, S, B, N]
// === AffinityDiffusionGrad: the same, softmax, the gradient of the results ===
// results: gradients of queries, keys, values and mix

constexpr size_t kDiffusionExtras = 2;      // values, mix
constexpr size_t kDiffusionGradExtras = 4;  // values, mix, softmax, upstream

DiffusionShape ShapeOfDiffusion(const ArrayCall& call, size_t extras) {
  const size_t num_sources = (call.specs.size() - extras) / 2;
  const MapShape queries(call.specs[0].dims), values(call.specs[2 * num_sources].dims);
  const int64_t batch = call.specs[0].dims[0];
  return {batch,
          batch == 0 ? 0 : queries.positions / batch,
          queries.channels,
          values.channels,
          static_cast<int>(num_sources),
          ToElementType(call.specs[0].type)};
}

std::string CheckDiffusion(const ArrayCall& call, size_t extras) {
  if (call.specs.size() < extras + 2 || (call.specs.size() - extras) % 2 != 0) {
    return "queries: expected as many as keys, and at least one";
  }
  const size_t num_sources = (call.specs.size() - extras) / 2;
  if (num_sources > kMaxAffinities) {
    return "queries: expected at most " + std::to_string(kMaxAffinities) + ", received " +
           std::to_string(num_sources);
  }
  std::vector<MapShape> maps;
  const std::string wrong = ReadMaps(call, "queries", 0, 2 * num_sources + 1, &maps);
  if (!wrong.empty()) return wrong;
  for (size_t n = 0; n < maps.size(); ++n) {
    const Dims& dims = call.specs[n].dims;
    Dims expected = call.specs[0].dims;
    if (n == 2 * num_sources) expected.back() = dims.back();
    if (dims.size() < 2 || dims != expected || dims.back() == 0) {
      return std::string(n == 2 * num_sources ? "values" : "queries and keys") + ": expected " +
             Text(expected) + " of at least one channel, received " + Text(dims);
    }
  }
  const ArraySpec& mix = call.specs[2 * num_sources + 1];
  if (mix.type != ArrayType::float32 || mix.dims != Dims{static_cast<int64_t>(num_sources)}) {
    return "mix: expected float32 [" + std::to_string(num_sources) + "], received " +
           Text(mix.dims);
  }
  return "";
}

ArraySpec SoftmaxOf(const ArrayCall& call, size_t extras) {
  const DiffusionShape shape = ShapeOfDiffusion(call, extras);
  return {ArrayType::float32, {2, shape.num_sources, shape.batch, shape.positions}};
}

std::string CheckDiffuse(const ArrayCall& call, std::vector<ArraySpec>* results) {
  const std::string wrong = CheckDiffusion(call, kDiffusionExtras);
  if (!wrong.empty()) return wrong;
  results->push_back(call.specs[call.specs.size() - kDiffusionExtras]);
  results->push_back(SoftmaxOf(call, kDiffusionExtras));
  return "";
}

std::string CheckDiffuseGrad(const ArrayCall& call, std::vector<ArraySpec>* results) {
  const std::string wrong = CheckDiffusion(call, kDiffusionGradExtras);
  if (!wrong.empty()) return wrong;
  const size_t values = call.specs.size() - kDiffusionGradExtras;
  const ArraySpec softmax = SoftmaxOf(call, kDiffusionGradExtras);
  if (call.specs[values + 2].type != softmax.type || call.specs[values + 2].dims != softmax.dims) {
    return "softmax: expected float32 " + Text(softmax.dims);
  }
  if (call.specs[values + 3].type != call.specs[values].type ||
      call.specs[values + 3].dims != call.specs[values].dims) {
    return "upstream: expected the type and shape of the values";
  }
  LikeInputs(call, 0, values + 2, results);
  return "";
}

DiffusionInputs DiffusionInputsOf(const ArrayCall& call, size_t extras) {
  const DiffusionShape shape = ShapeOfDiffusion(call, extras);
  const void* const* others = call.inputs.data() + 2 * shape.num_sources;
  return {shape, call.inputs.data(), call.inputs.data() + shape.num_sources, others[0],
          static_cast<const float*>(others[1])};
}

AffinityDiffusionArgs DiffusionArgs(const ArrayCall& call) {
  return {DiffusionInputsOf(call, kDiffusionExtras), call.results[0],
          static_cast<float*>(call.results[1])};
}

AffinityDiffusionGradArgs DiffusionGradArgs(const ArrayCall& call) {
  const DiffusionInputs inputs = DiffusionInputsOf(call, kDiffusionGradExtras);
  const int sources = inputs.shape.num_sources;
  return {inputs,
          static_cast<const float*>(call.inputs[2 * sources + 2]),
          call.inputs[2 * sources + 3],
          call.results.data(),
          call.results.data() + sources,
          call.results[2 * sources],
          static_cast<float*>(call.results[2 * sources + 1])};
}

// === UpsampleCrossEntropy: predictions [B, h, w, C], labels [B, H, W] int32, weights [B, H, W] ===
// === UpsampleL1: predictions, targets [B, H, W, C], weights ===
// results: loss [], gradient of the predictions

UpsampleShape ShapeOfUpsampling(const ArrayCall& call) {
  const Dims &small = call.specs[0].dims, &large = call.specs[2].dims;
  return {small[0], small[1], small[2], small[3], large[1], large[2]};
}

std::string CheckUpsampling(const ArrayCall& call, ArrayType target_type, bool has_channels,
                            std::vector<ArraySpec>* results) {
  if (call.specs.size() != 3) return "expected predictions, targets and weights";
  const ArraySpec &small = call.specs[0], &targets = call.specs[1], &weights = call.specs[2];
  if (small.type != ArrayType::float32 || weights.type != ArrayType::float32) {
    return "predictions and weights: expected float32";
  }
  if (targets.type != target_type) {
    return target_type == ArrayType::int32 ? "labels: expected int32" : "targets: expected float32";
  }
  if (small.dims.size() != 4)
    return "predictions: expected [B, h, w, C], received " + Text(small.dims);
  const Dims& large = weights.dims;
  if (large.size() != 3 || large[0] != small.dims[0]) {
    return "weights: expected [B, H, W] for predictions " + Text(small.dims) + ", received " +
           Text(large);
  }
  Dims expected = large;
  if (has_channels) expected.push_back(small.dims[3]);
  if (targets.dims != expected) {
    return "targets: expected " + Text(expected) + ", received " + Text(targets.dims);
  }
  const bool has_targets = large[1] * large[2] > 0;
  if (has_targets && small.dims[1] * small.dims[2] * small.dims[3] == 0) {
    return "predictions: expected at least one position and channel, received " + Text(small.dims);
  }
  results->push_back({ArrayType::float32, {}});
  results->push_back(small);
  return "";
}

template <typename Args, typename Target>
Args UpsamplingArgs(const ArrayCall& call) {
  return {ShapeOfUpsampling(call),
          static_cast<const float*>(call.inputs[0]),
          static_cast<const Target*>(call.inputs[1]),
          static_cast<const float*>(call.inputs[2]),
          static_cast<float*>(call.results[0]),
          static_cast<float*>(call.results[1])};
}

const auto CrossEntropyArgs = UpsamplingArgs<UpsampleCrossEntropyArgs, int32_t>;
const auto L1Args = UpsamplingArgs<UpsampleL1Args, float>;

#if defined(MTL_WITH_CUDA)
int64_t UpsamplingWorkspaceSize(const ArrayCall& call) {
  return UpsampleWorkspaceSize(ShapeOfUpsampling(call));
}

int64_t StitchGradWorkspaceSize(const ArrayCall& call) {
  const CrossStitchGradArgs args = StitchGradArgs(call);
  return CrossStitchGradWorkspaceSize(args.num_positions, args.num_channels, args.num_tasks);
}

int64_t DiffusionGradWorkspaceSize(const ArrayCall& call) {
  return AffinityDiffusionGradWorkspaceSize(ShapeOfDiffusion(call, kDiffusionGradExtras));
}

// What a row of the table has besides its CPU part.
#define MTL_ON_CUDA(workspace_size, expression)                                          \
  , workspace_size,                                                                      \
      [](const ArrayCall& call, [[maybe_unused]] double* workspace, CudaStream stream) { \
        return expression;                                                               \
      }
#else
#define MTL_ON_CUDA(workspace_size, expression)
#endif

}  // namespace

const std::vector<FeatureOp>& FeatureOps() {
  static const std::vector<FeatureOp> table = {
      {"AttentionDistillation", CheckDistillation,
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         AttentionDistillation(Distillation(call).Arguments<AttentionDistillationArgs>(call),
                               parallel_for);
       } MTL_ON_CUDA(nullptr,
                     AttentionDistillationCuda(
                         Distillation(call).Arguments<AttentionDistillationArgs>(call), stream))},
      {"AttentionDistillationGrad", CheckDistillationGrad,
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         AttentionDistillationGrad(
             Distillation(call).Arguments<AttentionDistillationGradArgs>(call), parallel_for);
       } MTL_ON_CUDA(nullptr,
                     AttentionDistillationGradCuda(
                         Distillation(call).Arguments<AttentionDistillationGradArgs>(call),
                         stream))},
      {"CrossStitch", CheckStitch,
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         CrossStitch(StitchArgs(call), parallel_for);
       } MTL_ON_CUDA(nullptr, CrossStitchCuda(StitchArgs(call), stream))},
      {"CrossStitchGrad", CheckStitchGrad,
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         CrossStitchGrad(StitchGradArgs(call), parallel_for);
       } MTL_ON_CUDA(StitchGradWorkspaceSize,
                     CrossStitchGradCuda(StitchGradArgs(call), workspace, stream))},
      {"AffinityDiffusion", CheckDiffuse,
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         AffinityDiffusion(DiffusionArgs(call), parallel_for);
       } MTL_ON_CUDA(nullptr, AffinityDiffusionCuda(DiffusionArgs(call), stream))},
      {"AffinityDiffusionGrad", CheckDiffuseGrad,
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         AffinityDiffusionGrad(DiffusionGradArgs(call), parallel_for);
       } MTL_ON_CUDA(DiffusionGradWorkspaceSize,
                     AffinityDiffusionGradCuda(DiffusionGradArgs(call), workspace, stream))},
      {"UpsampleCrossEntropy",
       [](const ArrayCall& call, std::vector<ArraySpec>* results) {
         return CheckUpsampling(call, ArrayType::int32, false, results);
       },
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         UpsampleCrossEntropy(CrossEntropyArgs(call), parallel_for);
       } MTL_ON_CUDA(UpsamplingWorkspaceSize,
                     UpsampleCrossEntropyCuda(CrossEntropyArgs(call), workspace, stream))},
      {"UpsampleL1",
       [](const ArrayCall& call, std::vector<ArraySpec>* results) {
         return CheckUpsampling(call, ArrayType::float32, true, results);
       },
       [](const ArrayCall& call, const ParallelFor& parallel_for) {
         UpsampleL1(L1Args(call), parallel_for);
       } MTL_ON_CUDA(UpsamplingWorkspaceSize, UpsampleL1Cuda(L1Args(call), workspace, stream))},
  };
  return table;
}

}  // namespace mtl
