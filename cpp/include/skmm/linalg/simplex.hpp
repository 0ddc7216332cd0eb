// Capped simplices { 0 <= s <= cap, Σ s = total } and products of them with one factor per group of
// rows: projection and support function.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace skmm {

// A group is the consecutive rows [first, last). Their entries of s sum to count * cap, where
// 0 <= count <= last - first.
struct Group {
    std::int64_t first, last, count;
};
using Groups = std::vector<Group>;

// Two numbers of the point s_i = min(max(v_i - tau, 0), cap) at a threshold tau: mass = Σ s_i, and
// inside = the number of i with 0 < s_i < cap, which is -d mass / d tau.
struct Mass {
    double mass, inside;
};

// Returns a tau with |mass(tau) - total| <= within, or as close as rounding permits. mass(tau) must
// be piecewise linear and must not increase with tau. The method is Newton's, started at `tau` and
// kept in a bracket. range() returns (lo, hi) with mass(lo) >= total >= mass(hi); it is called only
// if a Newton step fails before both ends of the bracket are known.
double threshold(const std::function<Mass(double tau)>& mass,
                 const std::function<std::pair<double, double>()>& range, double total,
                 double within, double tau);

// Projects v (n) onto { 0 <= s <= cap, Σ s = total }: s_i = min(max(v_i - tau, 0), cap) with the
// tau for which Σ s = total. Returns that tau; the argument `tau` is the first guess.
// Requires 0 < total <= n cap, up to rounding. Costs O(n). v and s may be the same array.
double project_capped_simplex(const double* v, std::int64_t n, double cap, double total, double tau,
                              int n_threads, double* s);

// Returns an upper bound on max ⟨g, s⟩ over Π { 0 <= s <= cap, Σ s = count cap }, the product over
// the groups. The bound exceeds the maximum by at most `slack`, or by rounding.
double support(const double* g, const Groups& groups, double cap, double slack, int n_threads);

}  // namespace skmm
