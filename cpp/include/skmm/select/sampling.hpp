// Random samples of a fixed size without replacement, and random orders of the rows.
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/base/strips.hpp"

namespace skmm {

// draw_systematic and draw_pivotal draw exactly n distinct rows, and row i with probability pi[i].
// They require 0 <= pi[i] <= 1 and Σ pi = n, up to rounding. Both make one pass over the rows, in
// the order order[0], order[1], ...; if order is null, in the order 0, 1, ... Random bits are
// indexed by the position in that order, not by the row.

// Systematic sampling (Madow, 1949): lattice points at distance 1, shifted by one uniform number,
// are laid over the cumulative probabilities; a row is drawn if its interval holds a point. The
// probabilities are summed exactly, in units of 2⁻⁶¹, so that long passes do not drift.
std::vector<std::int64_t> draw_systematic(const double* pi, std::int64_t n_rows, std::int64_t n,
                                          std::uint64_t seed, const std::int64_t* order = nullptr);

// The same draw from rows of which other ranks have more, in the order of their keys, ties to the
// lowest row; |key| < 2^53. pi (n_rows) and key (n_rows) are those here, n is that of all ranks.
// Returns the drawn rows that are here, ascending. Lattice points are found by bisection over the
// keys, so a rank sends some numbers for each of the n points, and none for each row.
std::vector<std::int64_t> draw_systematic_on_ranks(const double* pi, const std::int64_t* key,
                                                   std::int64_t n_rows, std::int64_t n,
                                                   std::uint64_t seed, const Strips& strips);

// Sequential pivotal method (Deville and Tillé, 1998): each row competes with the row that is still
// undecided, so rows that are close in the order are rarely drawn together. A contest rounds the
// probabilities of its two rows by 2⁻⁵³. The accumulated rounding affects only the row that is
// undecided at the end.
std::vector<std::int64_t> draw_pivotal(const double* pi, std::int64_t n_rows, std::int64_t n,
                                       std::uint64_t seed, const std::int64_t* order = nullptr);

// Draws a uniformly distributed set of n of the n_rows rows and returns it in ascending order.
// Different values of `which` give independent sets. Uses O(√n) memory beyond the result.
std::vector<std::int64_t> draw_subset(std::int64_t n_rows, std::int64_t n, std::uint64_t seed,
                                      std::uint32_t which = 0);

// Returns all rows in a random order. Different values of `which` give independent orders.
std::vector<std::int64_t> random_order(std::int64_t n_rows, std::uint64_t seed,
                                       std::uint32_t which);

}  // namespace skmm
