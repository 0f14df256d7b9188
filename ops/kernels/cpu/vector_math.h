// exp, log and the logistic function of vectors of float32.
//
// Included only by sources that are compiled once per instruction set (cpu_dispatch.h). Errors are
// at most 2 units in the last place; NaN passes, and infinities give what they do in <cmath>.
// Results below the smallest normal number may be flushed to zero, as frameworks ask of the CPU.
#pragma once

#include "kernels/cpu/simd.h"

namespace mtl {
namespace MTL_ISA {

inline Floats Select(Ints condition, Floats yes, Floats no) { return condition ? yes : no; }

// p 2^n for integers n, in two steps: 2^n itself may be out of range where the result is not.
inline Floats Scale(Floats p, Floats n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(p, n);
#else
  const Ints whole = __builtin_convertvector(n, Ints), half = whole >> 1;
  return p * reinterpret_cast<Floats>((half + 127) << 23) *
         reinterpret_cast<Floats>((whole - half + 127) << 23);
#endif
}

// exp(x) = 2^n exp(r) with |r| <= log(2) / 2. n log(2) is taken away in two parts, the first of few
// bits, so that its product with n is exact. NaN passes by p, whatever its n.
inline Floats Exp(Floats x) {
  const Floats low = Broadcast(-104.0f), high = Broadcast(89.0f);
  x = low > x ? low : x;
  x = high < x ? high : x;
  const Floats magic = Broadcast(0x1.8p23f);  // adding it rounds to an integer
  const Floats n = (x * 1.44269504f + magic) - magic;
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = Broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return Scale(p * (r * r) + r + 1.0f, n);
}

// log(x) = e log(2) + log(m) with m in [sqrt(1/2), sqrt(2)).
inline Floats Log(Floats x) {
  const Ints is_small = x < 0x1p-126f;
  const Floats scaled = Select(is_small, x * 0x1p23f, x);
  // The exponent, and the fraction with the exponent of 1/2, moved so that m lies around 1.
  const Ints bits = reinterpret_cast<Ints>(scaled) - 0x3f3504f3;
  const Ints exponent = bits >> 23;
  const Floats m = reinterpret_cast<Floats>((bits & 0x7fffff) + 0x3f3504f3);
  const Floats e = __builtin_convertvector(exponent - (is_small & 23), Floats);
  const Floats f = m - 1.0f;
  Floats p = Broadcast(7.0376836292e-2f);
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const Floats square = f * f;
  Floats y = p * f * square - e * 2.12194440e-4f - 0.5f * square;
  y = (f + y) + e * 0.693359375f;
  const Floats infinity = reinterpret_cast<Floats>(Ints{} + 0x7f800000);
  y = Select(x == infinity, infinity, y);
  y = Select(x == 0.0f, -infinity, y);
  return Select((x < 0.0f) | (x != x), infinity - infinity, y);
}

// The logistic function s(x) = 1 / (1 + exp(-x)) and its slope s (1 - s), without cancellation.
struct Logistic {
  Floats value, slope;
};

// 1 / x for x from 1 to 2: a division takes as long as everything else here.
inline Floats Reciprocal(Floats x) {
#if defined(__AVX512F__)
  const Floats near = _mm512_rcp14_ps(x);
  return near + near * (1.0f - x * near);
#else
  return 1.0f / x;
#endif
}

inline Logistic LogisticOf(Floats x) {
  const Floats e = Exp(-Abs(x));
  const Floats inverse = Reciprocal(1.0f + e);
  const Floats other = e * inverse;
  return {Select(x < 0.0f, other, inverse), inverse * other};
}

// Of all lanes, in a tree.
inline float LargestOf(Floats x) {
  float lanes[kLanes];
  std::memcpy(lanes, &x, sizeof(x));
  for (int n = kLanes / 2; n > 0; n /= 2) {
    for (int i = 0; i < n; ++i) lanes[i] = lanes[i] > lanes[i + n] ? lanes[i] : lanes[i + n];
  }
  return lanes[0];
}

inline float SumOf(Floats x) {
  float lanes[kLanes];
  std::memcpy(lanes, &x, sizeof(x));
  for (int n = kLanes / 2; n > 0; n /= 2) {
    for (int i = 0; i < n; ++i) lanes[i] += lanes[i + n];
  }
  return lanes[0];
}

}  // namespace MTL_ISA
}  // namespace mtl
