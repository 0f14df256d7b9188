// Gramian on the CPU, compiled once per instruction set (cpu_dispatch.h).
//
// Work is cut into slices of 64 Ki elements of one tensor. A slice is walked in blocks of 1024
// elements, small enough that the rows of all tasks stay in the first-level cache while every pair
// of tasks is multiplied; pairs are taken in tiles of 2 x 2 rows, so a loaded row serves two pairs.
#include "kernels/gramian.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/narrow_float.h"

namespace mtl {
namespace MTL_ISA {
namespace {

constexpr int64_t kSliceElements = 64 * 1024;
constexpr int64_t kBlockElements = 1024;
constexpr int kLanes = 64;  // independent float32 sums: four 512-bit or sixteen 128-bit registers

struct Slice {
  int tensor;
  int64_t begin;
  int64_t end;
};

float SumOfLanes(const float* lanes) {
  float sums[kLanes];
  std::memcpy(sums, lanes, sizeof(sums));
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) sums[l] += sums[l + width];
  }
  return sums[0];
}

// result[a][b] += <rows_a[a], rows_b[b]> for A x B rows of `count` elements.
template <int A, int B>
void AddTile(const float* const* rows_a, const float* const* rows_b, int64_t count,
             double (*result)[2]) {
  constexpr int kTileLanes = kLanes / (A * B);
  float lanes[A][B][kLanes] = {};
  int64_t e = 0;
  for (; e + kTileLanes <= count; e += kTileLanes) {
    for (int a = 0; a < A; ++a) {
      for (int b = 0; b < B; ++b) {
        for (int l = 0; l < kTileLanes; ++l) {
          lanes[a][b][l] += rows_a[a][e + l] * rows_b[b][e + l];
        }
      }
    }
  }
  for (int a = 0; a < A; ++a) {
    for (int b = 0; b < B; ++b) {
      for (int64_t t = e; t < count; ++t) lanes[a][b][t - e] += rows_a[a][t] * rows_b[b][t];
      result[a][b] += SumOfLanes(lanes[a][b]);
    }
  }
}

void AddBlock(const std::vector<const float*>& rows, int64_t count, double* gramian) {
  const int num_tasks = static_cast<int>(rows.size());
  for (int i = 0; i < num_tasks; i += 2) {
    const int height = std::min(2, num_tasks - i);
    for (int j = 0; j <= i; j += 2) {
      const int width = std::min(2, num_tasks - j);
      double tile[2][2] = {};
      const float* const* rows_a = rows.data() + i;
      const float* const* rows_b = rows.data() + j;
      if (height == 2 && width == 2) {
        AddTile<2, 2>(rows_a, rows_b, count, tile);
      } else if (width == 2) {
        AddTile<1, 2>(rows_a, rows_b, count, tile);
      } else {
        AddTile<1, 1>(rows_a, rows_b, count, tile);
      }
      for (int a = 0; a < height; ++a) {
        for (int b = 0; b < width; ++b) {
          if (j + b <= i + a) gramian[(i + a) * num_tasks + j + b] += tile[a][b];
        }
      }
    }
  }
}

// Adds the lower triangle of one slice's Gramian, over the tasks that have this tensor.
template <typename Element>
void AddSlice(const GramianArgs& args, const Slice& slice, double* gramian) {
  std::vector<int> tasks;
  for (int k = 0; k < args.num_tasks; ++k) {
    if (args.gradients[k * args.num_tensors + slice.tensor] != nullptr) tasks.push_back(k);
  }
  const int num_present = static_cast<int>(tasks.size());
  std::vector<const float*> rows(num_present);
  std::vector<float> converted(Element::kIsFloat32 ? 0 : num_present * kBlockElements);
  std::vector<double> sums(static_cast<size_t>(num_present) * num_present, 0.0);
  for (int64_t begin = slice.begin; begin < slice.end; begin += kBlockElements) {
    const int64_t count = std::min(kBlockElements, slice.end - begin);
    for (int p = 0; p < num_present; ++p) {
      const void* elements = args.gradients[tasks[p] * args.num_tensors + slice.tensor];
      rows[p] = Element::Load(elements, begin, count, converted.data() + p * kBlockElements);
    }
    AddBlock(rows, count, sums.data());
  }
  for (int p = 0; p < num_present; ++p) {
    for (int q = 0; q <= p; ++q) {
      gramian[tasks[p] * args.num_tasks + tasks[q]] += sums[p * num_present + q];
    }
  }
}

}  // namespace

void GramianKernel(const GramianArgs& args, const ParallelFor& parallel_for);
void GramianKernel(const GramianArgs& args, const ParallelFor& parallel_for) {
  std::vector<Slice> slices;
  for (int v = 0; v < args.num_tensors; ++v) {
    for (int64_t begin = 0; begin < args.sizes[v]; begin += kSliceElements) {
      slices.push_back({v, begin, std::min(begin + kSliceElements, args.sizes[v])});
    }
  }
  const int64_t entries = static_cast<int64_t>(args.num_tasks) * args.num_tasks;
  std::vector<double> partial(slices.size() * entries, 0.0);
  parallel_for(static_cast<int64_t>(slices.size()), args.num_tasks * kSliceElements / 2,
               [&](int64_t s) {
                 double* gramian = partial.data() + s * entries;
                 switch (args.type) {
                   case GradientType::float32:
                     return AddSlice<Float32>(args, slices[s], gramian);
                   case GradientType::bfloat16:
                     return AddSlice<Bfloat16>(args, slices[s], gramian);
                   case GradientType::float16:
                     return AddSlice<Float16>(args, slices[s], gramian);
                 }
               });
  std::fill(args.gramian, args.gramian + entries, 0.0);
  for (size_t s = 0; s < slices.size(); ++s) {
    for (int64_t e = 0; e < entries; ++e) args.gramian[e] += partial[s * entries + e];
  }
  for (int i = 0; i < args.num_tasks; ++i) {
    for (int j = 0; j < i; ++j) {
      args.gramian[j * args.num_tasks + i] = args.gramian[i * args.num_tasks + j];
    }
  }
}

}  // namespace MTL_ISA
}  // namespace mtl
