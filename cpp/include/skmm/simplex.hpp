// Euclidean projection onto the capped simplex { 0 <= s <= cap, Σ s = total }.
#pragma once

#include <cstdint>

namespace skmm {

// s_i = min(max(v_i - tau, 0), cap) with tau such that Σ s = total; returns tau.
// 0 < total <= n cap, to rounding. O(n): Newton's method on the piecewise linear Σ s(tau), kept in
// a bracket and started at `tau`. v and s may be the same array.
double project_capped_simplex(const double* v, std::int64_t n, double cap, double total, double tau,
                              int n_threads, double* s);

}  // namespace skmm
