// What tests of kernels share: the level in use beside the baseline, and sums up to rounding.
#pragma once

#include <cmath>
#include <cstring>

#include "check.hpp"
#include "skmm/simd/kernels.hpp"

namespace skmm {
extern const Kernels kernels_baseline;  // every build has it
}

namespace check {

// f(kernels), a vector of numbers: the same bits from the level in use and from the baseline,
// unless the kernels are fused and one of these rounds once.
template <class F>
auto computed(const F& f, bool fused = false) {
    const auto out = f(skmm::kernels()), plain = f(skmm::kernels_baseline);
    const bool alike = !fused || skmm::kernels().fuses == skmm::kernels_baseline.fuses;
    CHECK(out.size() == plain.size() &&
          (!alike || std::memcmp(out.data(), plain.data(), out.size() * sizeof out[0]) == 0));
    return out;
}

// a b + c, rounded as the level in use does in fused kernels.
template <class T>
T fused(T a, T b, T c) {
    return skmm::kernels().fuses ? std::fma(a, b, c) : a * b + c;
}

// Equality up to rounding of sums whose terms are of this size.
inline bool close(double a, double b, double size) { return std::abs(a - b) <= 1e-14 * size; }

}  // namespace check
