// The lattice of systematic sampling, in exact units of 2⁻⁶¹.
#pragma once

#include <algorithm>
#include <cstdint>

#include "skmm/base/philox.hpp"
#include "skmm/base/types.hpp"

namespace skmm {

// Probability one as an integer. Integers add without rounding.
constexpr i64 kOne = i64{1} << 61;

// Converts a probability to units of 2⁻⁶¹. A number outside [0, 1] counts as the nearer end, and
// what is no number as 0, so that sums of two do not overflow.
inline i64 fixed(double p) { return static_cast<i64>(std::min(std::max(0.0, p), 1.0) * 0x1p61); }

// The distance covered before the first row since the last lattice point; the next one is at kOne.
// Rounding makes Σ pi differ from n by `excess`, at most kOne either way. If the start were closer
// than that to a lattice point, the pass would meet one point too many or too few, so such a start
// is moved.
inline i64 lattice_start(u64 seed, i64 excess) {
    const i64 way = fixed(uniform(seed, kDraw, 0));
    return std::max(std::min(way, kOne - 1 - std::max(excess, i64{0})), -std::min(excess, i64{0}));
}

}  // namespace skmm
