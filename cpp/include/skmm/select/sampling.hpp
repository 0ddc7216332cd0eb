// Fixed-size sampling without replacement.
#pragma once

#include <cstdint>
#include <vector>

namespace skmm {

// Exactly n distinct rows, row i with probability pi[i]; 0 <= pi <= 1, Σ pi = n to rounding. Both
// methods walk once along the rows: order[0], order[1], ...; null is 0, 1, ... Random bits belong
// to the places of the walk, whichever rows stand there.
//
// Systematic: one uniform number, a lattice of n points along the cumulated probabilities
// (Madow, 1949). These are summed in units of 2⁻⁶¹, exactly: a walk of any length does not drift.
std::vector<std::int64_t> draw_systematic(const double* pi, std::int64_t n_rows, std::int64_t n,
                                          std::uint64_t seed, const std::int64_t* order = nullptr);

// Sequential pivotal method (Deville and Tillé, 1998): neighbours compete, so rows that lie close
// together are rarely drawn together. Rounding is a matter of the two that compete, 2⁻⁵³ a time,
// and what it adds up to, of the last row undecided alone.
std::vector<std::int64_t> draw_pivotal(const double* pi, std::int64_t n_rows, std::int64_t n,
                                       std::uint64_t seed, const std::int64_t* order = nullptr);

// A uniformly distributed set of n out of n_rows rows, ascending; `which` numbers independent sets.
// Memory beyond the set: O(√n).
std::vector<std::int64_t> draw_subset(std::int64_t n_rows, std::int64_t n, std::uint64_t seed,
                                      std::uint32_t which = 0);

// All rows in a random order; `which` likewise.
std::vector<std::int64_t> random_order(std::int64_t n_rows, std::uint64_t seed,
                                       std::uint32_t which);

}  // namespace skmm
