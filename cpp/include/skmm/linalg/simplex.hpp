// Capped simplices: { 0 <= s <= cap, Σ s = total }, and products of them, one per group of rows.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace skmm {

// Consecutive rows [first, last) whose s sum to count cap, 0 <= count <= last - first.
struct Group {
    std::int64_t first, last, count;
};
using Groups = std::vector<Group>;

// How much mass lies above a threshold, and how many rows strictly inside: -d mass / d tau.
struct Mass {
    double mass, inside;
};

// tau with mass(tau) = total to `within`, where mass falls with tau and is piecewise linear:
// Newton's method from tau, kept in a bracket. range() gives (lo, hi) with mass(lo) >= total >=
// mass(hi), and is called only where Newton's method needs help.
double threshold(const std::function<Mass(double tau)>& mass,
                 const std::function<std::pair<double, double>()>& range, double total,
                 double within, double tau);

// s_i = min(max(v_i - tau, 0), cap) with tau such that Σ s = total; returns tau.
// 0 < total <= n cap, to rounding. O(n); v and s may be the same array.
double project_capped_simplex(const double* v, std::int64_t n, double cap, double total, double tau,
                              int n_threads, double* s);

// max ⟨g, s⟩ over Π { 0 <= s <= cap, Σ s = count cap }, from above: exceeds it by `slack` at most,
// or by rounding.
double support(const double* g, const Groups& groups, double cap, double slack, int n_threads);

}  // namespace skmm
