// What the boundary benchmark of edges is made of: thin lines, and one partner for each pixel.
#pragma once

#include <cstdint>

namespace mtl {

// Thins up to 64 binary maps [number, height, width] of 0 and 1 at once, in place: of each map
// lines one pixel wide stay (Guo and Hall, "Parallel thinning with two-subiteration algorithms",
// CACM 1989).
constexpr int64_t kMapsAtOnce = 64;
void ThinEdges(int64_t number, int64_t height, int64_t width, uint8_t* maps);

// In each of the maps [number, height, width], a largest set of pixels that can be matched one to
// one with true pixels [height, width] not farther away than `radius` (Hopcroft and Karp 1973).
// All are 0 or 1.
void MatchEdges(int64_t number, int64_t height, int64_t width, const uint8_t* maps,
                const uint8_t* truth, double radius, uint8_t* is_matched);

}  // namespace mtl
