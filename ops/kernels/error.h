// An error that cannot be ignored: a text for the user, or nothing.
//
//   if (Error error = CheckNumTasks(num_tasks)) return error;
#pragma once

#include <string>
#include <utility>

namespace mtl {

struct [[nodiscard]] Error {
  std::string text;  // empty: no error

  Error() = default;
  Error(std::string what) : text(std::move(what)) {}  // NOLINT: `return "weights: ..." + received;`
  Error(const char* what) : text(what) {}             // NOLINT
  explicit operator bool() const { return !text.empty(); }
};

}  // namespace mtl
