// The gradients of K tasks with respect to V shared tensors, as every gradient kernel receives
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/error.h"

namespace mtl {

constexpr int kMaxTasks = 64;

// A view; owns nothing.
struct TaskGradients {
  int num_tasks;                 // K, 1 to kMaxTasks
  int num_tensors;               // V >= 0
  const void* const* gradients;  // [K, V] row-major; elements of tensor v of task k; null = zero
  const int64_t* sizes;          // [V] number of elements of tensor v
  DType type;                    // of all gradients
};

// The rows of one tensor: the tasks that have a gradient for it. A plain struct on the stack, so
// that sources compiled for one instruction set may use it.
struct TensorRows {
  int count = 0;
  int task[kMaxTasks];
  const void* row[kMaxTasks];
};

inline TensorRows RowsOfTensor(const TaskGradients& gradients, int tensor) {
  TensorRows rows;
  for (int k = 0; k < gradients.num_tasks; ++k) {
    const void* row = gradients.gradients[static_cast<int64_t>(k) * gradients.num_tensors + tensor];
    if (row == nullptr) continue;
    rows.task[rows.count] = k;
    rows.row[rows.count++] = row;
  }
  return rows;
}

inline Error CheckNumTasks(int64_t num_tasks) {
  if (num_tasks >= 1 && num_tasks <= kMaxTasks) return {};
  return "expected 1 to " + std::to_string(kMaxTasks) + " tasks, received " +
         std::to_string(num_tasks);
}

// The numbers of a call: K, V, and for each gradient its slot k * V + v. Every tensor has one.
inline Error CheckTaskNumbers(const std::vector<int64_t>& numbers) {
  if (numbers.size() < 2) return "numbers: expected K, V and the slots";
  if (Error error = CheckNumTasks(numbers[0])) return error;
  const int64_t num_slots = static_cast<int64_t>(numbers.size()) - 2;
  if (numbers[1] < 0 || numbers[1] > num_slots) {
    return "numbers: expected a gradient of each of the V tensors, received V = " +
           std::to_string(numbers[1]) + " and " + std::to_string(num_slots) + " gradients";
  }
  for (int64_t n = 0; n < num_slots; ++n) {
    const int64_t slot = numbers[n + 2];
    if (slot < 0 || slot >= numbers[0] * numbers[1]) {
      return "slots must be below num_tasks * num_tensors, received " + std::to_string(slot);
    }
  }
  return {};
}

// An order of projections is [K, K-1] on the host: row i lists the other tasks, each once.
inline Error CheckOrder(const int32_t* order, int num_tasks) {
  for (int i = 0; i < num_tasks; ++i) {
    bool seen[kMaxTasks] = {};
    for (int n = 0; n + 1 < num_tasks; ++n) {
      const int32_t j = order[i * (num_tasks - 1) + n];
      if (j < 0 || j >= num_tasks || j == i || seen[j]) {
        return "order: row " + std::to_string(i) + " must list each of the other " +
               std::to_string(num_tasks - 1) + " tasks once, received " + std::to_string(j) +
               " at position " + std::to_string(n);
      }
      seen[j] = true;
    }
  }
  return {};
}

}  // namespace mtl
