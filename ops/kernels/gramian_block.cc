// One block of the Gramian, compiled once per instruction set (cpu_dispatch.h).
//
// No templates of the standard library here: the linker keeps one copy of them for all instruction
// sets, and the copy might be one that an older CPU cannot run.
#include "kernels/gramian_block.h"

#include <cstring>

#include "kernels/narrow_float.h"

namespace mtl {
namespace MTL_ISA {
namespace {

constexpr int kLanes = 64;  // independent float32 sums: four 512-bit or sixteen 128-bit registers

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

void AddRows(const float* const* rows, int num_rows, int64_t count, double* sums) {
  for (int i = 0; i < num_rows; i += 2) {
    const int height = num_rows - i < 2 ? 1 : 2;
    for (int j = 0; j <= i; j += 2) {
      const int width = num_rows - j < 2 ? 1 : 2;
      double tile[2][2] = {};
      const float* const* rows_a = rows + i;
      const float* const* rows_b = rows + j;
      if (height == 2 && width == 2) {
        AddTile<2, 2>(rows_a, rows_b, count, tile);
      } else if (width == 2) {
        AddTile<1, 2>(rows_a, rows_b, count, tile);
      } else {
        AddTile<1, 1>(rows_a, rows_b, count, tile);
      }
      for (int a = 0; a < height; ++a) {
        for (int b = 0; b < width; ++b) {
          if (j + b <= i + a) sums[(i + a) * num_rows + j + b] += tile[a][b];
        }
      }
    }
  }
}

template <typename Element>
void AddElements(const GramianBlock& block) {
  const float* rows[kMaxGramianTasks];
  for (int p = 0; p < block.num_rows; ++p) {
    float* scratch = block.scratch + p * kGramianBlockElements;
    rows[p] = Element::Load(block.rows[p], block.begin, block.count, scratch);
  }
  AddRows(rows, block.num_rows, block.count, block.sums);
}

}  // namespace

void GramianBlockKernel(const GramianBlock& block);
void GramianBlockKernel(const GramianBlock& block) {
  switch (block.type) {
    case GradientType::float32:
      return AddElements<Float32>(block);
    case GradientType::bfloat16:
      return AddElements<Bfloat16>(block);
    case GradientType::float16:
      return AddElements<Float16>(block);
  }
}

}  // namespace MTL_ISA
}  // namespace mtl
