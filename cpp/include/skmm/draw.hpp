// Fixed-size sampling without replacement.
#pragma once

#include <cstdint>
#include <vector>

namespace skmm {

// Exactly n distinct rows, row i with probability pi[i]; 0 <= pi <= 1, Σ pi = n to rounding.
// Systematic: one uniform number, a lattice of n points along the cumulated probabilities
// (Madow, 1949).
std::vector<std::int64_t> draw_systematic(const double* pi, std::int64_t n_rows, std::int64_t n,
                                          std::uint64_t seed);

// Sequential pivotal method (Deville and Tillé, 1998): neighbours compete, so rows that lie close
// together are rarely drawn together.
std::vector<std::int64_t> draw_pivotal(const double* pi, std::int64_t n_rows, std::int64_t n,
                                       std::uint64_t seed);

// A uniformly distributed set of n out of n_rows rows, ascending; `which` numbers independent sets.
std::vector<std::int64_t> draw_subset(std::int64_t n_rows, std::int64_t n, std::uint64_t seed,
                                      std::uint32_t which = 0);

}  // namespace skmm
