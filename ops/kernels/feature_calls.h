// What the ops on feature maps read alike from a call.
#pragma once

#include "kernels/features/feature_maps.h"
#include "kernels/op_table.h"

namespace mtl {

// Reads the shapes of inputs [begin, end), which must be maps of one type.
inline Error ReadMaps(const CallSpec& spec, const char* name, size_t begin, size_t end,
                      std::vector<MapShape>* maps) {
  if (end > spec.inputs.size()) return std::string(name) + ": expected more arrays";
  for (size_t n = begin; n < end; ++n) {
    const ArraySpec& input = spec.inputs[n];
    if (input.dims.empty()) return std::string(name) + ": expected shapes [..., C], received []";
    if (!IsFeatureType(input.dtype)) {
      return std::string(name) + ": expected float32, bfloat16 or float16, received " +
             NameOf(input.dtype);
    }
    if (input.dtype != spec.inputs[0].dtype) {
      return std::string(name) + ": expected one type for all";
    }
    maps->emplace_back(input.dims);
  }
  return {};
}

// The types and shapes of inputs [begin, end).
inline std::vector<ArraySpec> LikeInputs(const CallSpec& spec, size_t begin, size_t end) {
  return {spec.inputs.begin() + begin, spec.inputs.begin() + end};
}

}  // namespace mtl
