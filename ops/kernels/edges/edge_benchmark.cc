#include "kernels/edges/edge_benchmark.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace mtl {
namespace {

// === Thinning ===

uint64_t ExactlyOne(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  return (a ^ b ^ c ^ d) & ~(((a | b) & c & d) | (a & b & (c | d)));
}

uint64_t TwoOrMore(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  return (a & b) | (c & d) | ((a | b) & (c | d));
}

// Maps in which the pixel may go in the first or second turn; rows are `row` pixels apart.
uint64_t MayGo(const uint64_t* pixel, int64_t row, int turn) {
  const uint64_t n = pixel[-row], ne = pixel[-row + 1], e = pixel[1], se = pixel[row + 1];
  const uint64_t s = pixel[row], sw = pixel[row - 1], w = pixel[-1], nw = pixel[-row - 1];
  const uint64_t is_joined = ExactlyOne(~n & (ne | e), ~e & (se | s), ~s & (sw | w), ~w & (nw | n));
  const uint64_t a = nw | n, b = ne | e, c = se | s, d = sw | w;
  const uint64_t f = n | ne, g = e | se, h = s | sw, i = w | nw;
  const uint64_t is_no_end = TwoOrMore(a, b, c, d) & TwoOrMore(f, g, h, i);
  const uint64_t is_inside = a & b & c & d & f & g & h & i;
  const uint64_t stays = turn == 0 ? (n | ne | ~se) & e : (s | sw | ~nw) & w;
  return is_joined & is_no_end & ~is_inside & ~stays;
}

}  // namespace

void ThinEdges(int64_t number, int64_t height, int64_t width, uint8_t* given) {
  const int64_t row = width + 2;                   // an empty pixel around the map
  std::vector<uint64_t> maps((height + 2) * row);  // map n is bit n
  for (int64_t y = 0; y < height; ++y) {
    uint64_t* const to = &maps[(y + 1) * row + 1];
    for (int64_t n = 0; n < number; ++n) {
      const uint8_t* const from = given + (n * height + y) * width;
      for (int64_t x = 0; x < width; ++x) to[x] |= static_cast<uint64_t>(from[x]) << n;
    }
  }
  std::vector<uint8_t> is_waiting(maps.size());  // a bit a turn
  std::vector<int64_t> waiting[2], pixels, going;
  std::vector<uint64_t> gone;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t at = (y + 1) * row + x + 1;
      if (maps[at] == 0) continue;
      waiting[0].push_back(at);
      waiting[1].push_back(at);
      is_waiting[at] = 3;
    }
  }
  const int64_t around[] = {-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1};
  for (int turn = 0; !waiting[0].empty() || !waiting[1].empty(); turn = 1 - turn) {
    pixels.clear();
    pixels.swap(waiting[turn]);
    going.clear();
    gone.clear();
    for (const int64_t at : pixels) {
      is_waiting[at] &= ~(1 << turn);
      const uint64_t bits = maps[at] & MayGo(&maps[at], row, turn);
      if (bits == 0) continue;
      going.push_back(at);
      gone.push_back(bits);
    }
    for (size_t i = 0; i < going.size(); ++i) maps[going[i]] &= ~gone[i];
    for (size_t i = 0; i < going.size(); ++i) {  // neighbours in these maps may be free to go now
      for (const int64_t step : around) {
        const int64_t near = going[i] + step;
        if ((maps[near] & gone[i]) == 0 || is_waiting[near] == 3) continue;
        if ((is_waiting[near] & 1) == 0) waiting[0].push_back(near);
        if ((is_waiting[near] & 2) == 0) waiting[1].push_back(near);
        is_waiting[near] = 3;
      }
    }
  }
  for (int64_t y = 0; y < height; ++y) {
    const uint64_t* const from = &maps[(y + 1) * row + 1];
    for (int64_t n = 0; n < number; ++n) {
      uint8_t* const to = given + (n * height + y) * width;
      for (int64_t x = 0; x < width; ++x) to[x] = from[x] >> n & 1;
    }
  }
}

// === Matching ===

namespace {

constexpr int32_t kNone = -1, kFar = INT32_MAX;

// For each true pixel (row) the pixels of the image (columns) that are near.
struct Near {
  std::vector<int64_t> starts{0};
  std::vector<int32_t> columns;
};

Near FindNear(int64_t height, int64_t width, const uint8_t* truth, double radius) {
  std::vector<std::pair<int64_t, int64_t>> steps;  // y, x
  const auto reach = static_cast<int64_t>(std::min<double>(radius, height + width));
  for (int64_t dy = -reach; dy <= reach; ++dy) {
    for (int64_t dx = -reach; dx <= reach; ++dx) {
      if (dy * dy + dx * dx <= radius * radius) steps.emplace_back(dy, dx);
    }
  }
  Near near;
  for (int64_t i = 0; i < height * width; ++i) {
    if (truth[i] == 0) continue;
    for (const auto& [dy, dx] : steps) {
      const int64_t y = i / width + dy, x = i % width + dx;
      if (y < 0 || y >= height || x < 0 || x >= width) continue;
      near.columns.push_back(static_cast<int32_t>(y * width + x));
    }
    near.starts.push_back(static_cast<int64_t>(near.columns.size()));
  }
  return near;
}

// The columns that are in a map.
void Keep(const Near& near, const uint8_t* map, Near* kept) {
  kept->starts.assign(1, 0);
  kept->columns.clear();
  for (size_t r = 0; r + 1 < near.starts.size(); ++r) {
    for (int64_t i = near.starts[r]; i < near.starts[r + 1]; ++i) {
      if (map[near.columns[i]] != 0) kept->columns.push_back(near.columns[i]);
    }
    kept->starts.push_back(static_cast<int64_t>(kept->columns.size()));
  }
}

// Makes a matching the largest there is (Hopcroft and Karp 1973): partners[r] is the column of a
// row, owners[c] the row of a column, kNone without one.
class Matching {
 public:
  Matching(const Near& near, std::vector<int32_t>& partners, std::vector<int32_t>& owners)
      : near_(near), partners_(partners), owners_(owners) {
    level_.resize(partners.size());
    next_.resize(partners.size());
  }

  void Enlarge() {
    for (size_t r = 0; r < partners_.size(); ++r) {  // most find a partner at once
      for (int64_t i = Begin(r); i < End(r) && partners_[r] == kNone; ++i) {
        if (owners_[near_.columns[i]] != kNone) continue;
        owners_[near_.columns[i]] = static_cast<int32_t>(r);
        partners_[r] = near_.columns[i];
      }
    }
    while (FindLevels() && Exchange()) continue;
  }

 private:
  int64_t Begin(size_t r) const { return near_.starts[r]; }
  int64_t End(size_t r) const { return near_.starts[r + 1]; }

  // How many exchanges each row is away from one without a partner; whether any way leads on to a
  // column without one, in how few exchanges.
  bool FindLevels() {
    path_.clear();
    for (size_t r = 0; r < partners_.size(); ++r) {
      level_[r] = partners_[r] == kNone ? 0 : kFar;
      next_[r] = Begin(r);
      if (level_[r] == 0) path_.push_back(static_cast<int32_t>(r));
    }
    shortest_ = kFar;
    for (size_t i = 0; i < path_.size() && level_[path_[i]] <= shortest_; ++i) {
      const int32_t r = path_[i];
      for (int64_t k = Begin(r); k < End(r); ++k) {
        const int32_t owner = owners_[near_.columns[k]];
        if (owner == kNone) {
          shortest_ = level_[r];
        } else if (level_[owner] == kFar) {
          level_[owner] = level_[r] + 1;
          path_.push_back(owner);
        }
      }
    }
    return shortest_ != kFar;
  }

  // Exchanges along shortest ways that have no row in common; whether there was any.
  bool Exchange() {
    bool is_larger = false;
    for (size_t first = 0; first < partners_.size(); ++first) {
      if (partners_[first] != kNone) continue;
      path_.assign(1, static_cast<int32_t>(first));
      while (!path_.empty()) {
        const int32_t r = path_.back();
        if (next_[r] == End(r) || level_[r] > shortest_) {
          level_[r] = kFar;  // no way through here any more
          path_.pop_back();
          if (!path_.empty()) ++next_[path_.back()];
          continue;
        }
        const int32_t owner = owners_[near_.columns[next_[r]]];
        if (owner == kNone) {  // all rows of the way take the column they came by
          for (const int32_t row : path_) {
            partners_[row] = near_.columns[next_[row]];
            level_[row] = kFar;
          }
          for (const int32_t row : path_) owners_[partners_[row]] = row;
          path_.clear();
          is_larger = true;
        } else if (level_[owner] == level_[r] + 1) {
          path_.push_back(owner);
        } else {
          ++next_[r];
        }
      }
    }
    return is_larger;
  }

  const Near& near_;
  std::vector<int32_t>&partners_, &owners_;
  std::vector<int32_t> level_, path_;
  std::vector<int64_t> next_;
  int32_t shortest_ = kFar;
};

}  // namespace

void MatchEdges(int64_t number, int64_t height, int64_t width, const uint8_t* maps,
                const uint8_t* truth, double radius, uint8_t* is_matched) {
  const Near near = FindNear(height, width, truth, radius);
  Near kept;
  // The matching of a map begins with what it has in common with that of the map before.
  std::vector<int32_t> partners(near.starts.size() - 1, kNone), owners(height * width, kNone);
  std::fill_n(is_matched, number * height * width, 0);
  for (int64_t n = 0; n < number; ++n, maps += height * width, is_matched += height * width) {
    for (int32_t& partner : partners) {
      if (partner == kNone || maps[partner] != 0) continue;
      owners[partner] = kNone;
      partner = kNone;
    }
    Keep(near, maps, &kept);
    Matching(kept, partners, owners).Enlarge();
    for (const int32_t partner : partners) {
      if (partner != kNone) is_matched[partner] = 1;
    }
  }
}

}  // namespace mtl
