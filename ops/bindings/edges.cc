// Bindings of the boundary benchmark's parts, which have no TensorFlow op: GIL released.
#include <algorithm>

#include "bindings/arrays.h"
#include "kernels/edges/edge_benchmark.h"

namespace mtl {
namespace {

using Maps = py::array_t<bool, py::array::c_style>;

Maps Thin(const Maps& maps) {
  if (maps.ndim() != 3) throw py::value_error("maps: expected [T, H, W]");
  const int64_t number = maps.shape(0), height = maps.shape(1), width = maps.shape(2);
  Maps thin({number, height, width});
  auto* const pixels = reinterpret_cast<uint8_t*>(thin.mutable_data());
  std::transform(maps.data(), maps.data() + maps.size(), pixels,
                 [](bool on) { return on ? 1 : 0; });
  py::gil_scoped_release released;
  for (int64_t n = 0; n < number; n += kMapsAtOnce) {
    ThinEdges(std::min(kMapsAtOnce, number - n), height, width, pixels + n * height * width);
  }
  return thin;
}

Maps Match(const Maps& maps, const Maps& truth, double radius) {
  if (maps.ndim() != 3 || truth.ndim() != 2 || truth.shape(0) != maps.shape(1) ||
      truth.shape(1) != maps.shape(2)) {
    throw py::value_error("maps, truth: expected [T, H, W] and [H, W]");
  }
  if (!(radius >= 0)) throw py::value_error("radius: expected 0 or more");
  if (truth.size() > INT32_MAX) throw py::value_error("truth: expected less than 2^31 pixels");
  const int64_t number = maps.shape(0), height = maps.shape(1), width = maps.shape(2);
  Maps matched({number, height, width});
  // A bool of NumPy is a byte that is 0 or 1.
  const auto* const predicted = reinterpret_cast<const uint8_t*>(maps.data());
  const auto* const true_pixels = reinterpret_cast<const uint8_t*>(truth.data());
  auto* const to = reinterpret_cast<uint8_t*>(matched.mutable_data());
  py::gil_scoped_release released;
  MatchEdges(number, height, width, predicted, true_pixels, radius, to);
  return matched;
}

}  // namespace

void BindEdges(py::module_& module) {
  module.def("thin_edges", &Thin, py::arg("maps"),
             "Lines one pixel wide of the regions in maps [T, H, W] bool.");
  module.def("match_edges", &Match, py::arg("maps"), py::arg("truth"), py::arg("radius"),
             "Pixels of maps [T, H, W] bool matched one to one with those of truth [H, W] bool.");
}

}  // namespace mtl
