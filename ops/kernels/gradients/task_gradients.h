// The gradients of K tasks with respect to V shared tensors, as every gradient kernel receives
// them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/element_type.h"

namespace mtl {

constexpr int kMaxTasks = 64;

// A view; owns nothing.
struct TaskGradients {
  int num_tasks;                 // K, 1 to kMaxTasks
  int num_tensors;               // V >= 0
  const void* const* gradients;  // [K, V] row-major; elements of tensor v of task k; null = zero
  const int64_t* sizes;          // [V] number of elements of tensor v
  ElementType type;              // of all gradients
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

// Collects, for an adapter, the gradients it was given one by one.
class TaskGradientTable {
 public:
  TaskGradientTable(int num_tasks, int num_tensors, ElementType type)
      : num_tasks_(num_tasks),
        num_tensors_(num_tensors),
        type_(type),
        gradients_(static_cast<size_t>(num_tasks) * num_tensors, nullptr),
        sizes_(num_tensors, -1) {}

  // Enters the elements of slot k * V + v. Returns what is wrong with them, or an empty string.
  std::string Set(int64_t slot, const void* elements, int64_t size) {
    if (slot < 0 || slot >= static_cast<int64_t>(gradients_.size())) {
      return "slots must be below num_tasks * num_tensors = " + std::to_string(gradients_.size()) +
             ", received " + std::to_string(slot);
    }
    int64_t& expected = sizes_[slot % num_tensors_];
    if (expected >= 0 && expected != size) {
      return "task_gradients: expected " + std::to_string(expected) + " elements in tensor " +
             std::to_string(slot % num_tensors_) + " of task " +
             std::to_string(slot / num_tensors_) + " like in the other tasks, received " +
             std::to_string(size);
    }
    expected = size;
    gradients_[slot] = size == 0 ? nullptr : elements;
    return "";
  }

  int64_t Size(int tensor) const { return sizes_[tensor]; }  // -1: no task has this tensor

  TaskGradients View() {
    for (int64_t& size : sizes_) size = size < 0 ? 0 : size;
    return {num_tasks_, num_tensors_, gradients_.data(), sizes_.data(), type_};
  }

 private:
  int num_tasks_;
  int num_tensors_;
  ElementType type_;
  std::vector<const void*> gradients_;
  std::vector<int64_t> sizes_;
};

// What is wrong with the number of tasks, or an empty string.
inline std::string CheckNumTasks(int64_t num_tasks) {
  if (num_tasks >= 1 && num_tasks <= kMaxTasks) return "";
  return "expected 1 to " + std::to_string(kMaxTasks) + " tasks, received " +
         std::to_string(num_tasks);
}

// What is wrong with an order of projections, or an empty string. `order` is [K, K-1] on the host:
// row i lists the other tasks, each once.
inline std::string CheckOrder(const int32_t* order, int num_tasks) {
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
  return "";
}

}  // namespace mtl
