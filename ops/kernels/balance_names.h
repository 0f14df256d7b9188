// The names under which adapters receive the solvers and their choices.
#pragma once

#include <string>

#include "kernels/error.h"
#include "kernels/solvers/balance.h"

namespace mtl {

struct BalanceMethodName {
  const char* name;
  BalanceMethod method;
};

constexpr BalanceMethodName kBalanceMethods[] = {
    {"mgda", BalanceMethod::mgda},         {"upgrad", BalanceMethod::upgrad},
    {"dualproj", BalanceMethod::dualproj}, {"pcgrad", BalanceMethod::pcgrad},
    {"gradvac", BalanceMethod::gradvac},   {"cagrad", BalanceMethod::cagrad},
    {"nash_mtl", BalanceMethod::nash_mtl}, {"fairgrad", BalanceMethod::fairgrad},
    {"imtl_g", BalanceMethod::imtl_g},     {"aligned_mtl", BalanceMethod::aligned_mtl},
};

inline Error ParseBalanceMethod(const std::string& name, BalanceMethod* method) {
  std::string known;
  for (const BalanceMethodName& entry : kBalanceMethods) {
    if (name == entry.name) {
      *method = entry.method;
      return {};
    }
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return "method: expected one of " + known + ", received \"" + name + "\"";
}

inline Error ParseAlignedScale(const std::string& name, AlignedScale* scale) {
  if (name == "min" || name == "median" || name == "mean") {
    *scale = name == "min"      ? AlignedScale::min
             : name == "median" ? AlignedScale::median
                                : AlignedScale::mean;
    return {};
  }
  return "scale: expected min, median or mean, received \"" + name + "\"";
}

// The numbers of a BalanceMethod and an AlignedScale, as TensorFlow's adapters receive them.
inline Error CheckBalanceNumbers(int64_t method, int64_t scale) {
  constexpr int64_t kMethods = sizeof(kBalanceMethods) / sizeof(kBalanceMethods[0]);
  if (method < 0 || method >= kMethods) {
    return "method: expected a number below " + std::to_string(kMethods) + ", received " +
           std::to_string(method);
  }
  if (scale < 0 || scale > static_cast<int64_t>(AlignedScale::mean)) {
    return "scale: expected 0 to 2, received " + std::to_string(scale);
  }
  return {};
}

inline Error CheckBalanceParameter(BalanceMethod method, double parameter) {
  const bool is_right = method == BalanceMethod::cagrad ? parameter >= 0
                        : method == BalanceMethod::fairgrad
                            ? parameter >= kMinAlpha && parameter <= kMaxAlpha
                        : method == BalanceMethod::gradvac ? parameter >= 0 && parameter <= 1
                                                           : true;
  if (is_right && parameter <= kMaxParameter) return {};
  return "parameter: expected c from 0 to 1e6 (cagrad), alpha from 0.05 to 100 (fairgrad) or beta "
         "from 0 to 1 (gradvac), received " +
         std::to_string(parameter);
}

}  // namespace mtl
