// What the bindings of the ops on feature maps share, for arrays on the host and on devices.
#pragma once

#include <cctype>
#include <string>

#include "kernels/array_call.h"

namespace mtl {

inline ArrayType ArrayTypeNamed(const std::string& name) {
  if (name == "float32") return ArrayType::float32;
  if (name == "bfloat16") return ArrayType::bfloat16;
  if (name == "float16") return ArrayType::float16;
  if (name == "int32") return ArrayType::int32;
  return ArrayType::other;
}

inline const char* ArrayTypeName(ArrayType type) {
  switch (type) {
    case ArrayType::bfloat16:
      return "bfloat16";
    case ArrayType::float16:
      return "float16";
    case ArrayType::int32:
      return "int32";
    default:
      return "float32";
  }
}

// "CrossStitchGrad" as "cross_stitch_grad".
inline std::string PythonName(const std::string& name) {
  std::string found;
  for (const char letter : name) {
    if (std::isupper(letter) && !found.empty()) found += '_';
    found += static_cast<char>(std::tolower(letter));
  }
  return found;
}

}  // namespace mtl
