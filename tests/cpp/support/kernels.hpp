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

// f(kernels), a vector of numbers: the same bits from the level in use and from the baseline.
template <class F>
auto computed(const F& f) {
    const auto out = f(skmm::kernels()), plain = f(skmm::kernels_baseline);
    CHECK(out.size() == plain.size() &&
          std::memcmp(out.data(), plain.data(), out.size() * sizeof out[0]) == 0);
    return out;
}

// Equality up to rounding of sums whose terms are of this size.
inline bool close(double a, double b, double size) { return std::abs(a - b) <= 1e-14 * size; }

}  // namespace check
