// Capped simplices { 0 <= s <= cap, Σ s = total } and products of them with one factor per group of
// rows: thresholds, projection and support function. Rows may lie on several ranks; all ranks get
// the same results, each for the rows that it holds.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/grouped_rows.hpp"

namespace skmm {

// Two numbers of the point s_i = min(max(v_i - tau, 0), cap) at a threshold tau: mass = Σ s_i, and
// inside = the number of i with 0 < s_i < cap, which is -d mass / d tau.
struct Mass {
    double mass, inside;
};

// The search for a threshold tau of one group.
struct Threshold {
    double total, within;  // what is looked for: |mass(tau) - total| <= within
    double tau;            // the first guess; the result
};

// Finds the thresholds of several groups, as near as rounding permits. mass(tau) of each must be
// piecewise linear and must not increase with tau. The method is Newton's, kept in a bracket.
// masses(open, at) computes the mass at the tau of each group g with open[g]. ranges() returns for
// each group (lo, hi) with mass(lo) >= total >= mass(hi); it is called only if a Newton step fails
// before both ends of a bracket are known.
using Masses = std::function<void(const std::vector<bool>& open, std::vector<Mass>& at)>;
using Ranges = std::function<std::vector<std::pair<double, double>>()>;
void find_thresholds(std::vector<Threshold>& thresholds, const Masses& masses,
                     const Ranges& ranges);

// Projects v onto Π { 0 <= s <= cap, Σ s = totals[g] }, the product over the groups:
// s_i = min(max(v_i - tau_g, 0), cap). Returns the tau of each group; the argument has the first
// guesses. Costs O(n). v and s may be the same array.
Vector project(const double* v, const GroupedRows& rows, double cap, const Vector& totals,
               Vector tau, int n_threads, double* s);

// Returns an upper bound on max ⟨g, s⟩ over Π { 0 <= s <= cap, Σ s = count cap }. The bound exceeds
// the maximum by at most `slack`, or by rounding.
double support(const double* g, const GroupedRows& rows, double cap, double slack, int n_threads);

}  // namespace skmm
