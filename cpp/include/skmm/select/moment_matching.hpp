// Moment matching (SkMM, stage 2): a relaxed selection s whose weighted second moment dominates the
// targets along every direction of the rotated sketch Y.
//
//     minimise φ(s) = Σ_j w_j [t_j - Σ_i s_i y_ij²]₊²   over  Π { 0 <= s_i <= cap, Σ_i s_i = count
//     cap }
#pragma once

#include <cstdint>
#include <functional>

#include "skmm/base/parallel.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/linalg/simplex.hpp"

namespace skmm {

template <class T>
struct MomentProblem {
    RowMatrix<T> y;        // (N, k), contiguous; asked for all but row_norms
    const double* target;  // (k)
    const double* weight;  // (k), > 0
    double cap;
    Groups groups;  // of all rows, in order
};

struct MomentFit {
    Vector s;                 // (N) the best point seen
    double objective = 0.0;   // φ(s)
    double start = 0.0;       // φ where it began
    double gap = 0.0;         // 0 <= φ(s) - min φ <= gap, by the largest lower bound on φ seen
    bool converged = false;   // gap <= tol φ(start), or φ = 0 to rounding
    std::int64_t passes = 0;  // over Y
    Vector moments;           // (k) Σ_i s_i y_ij²
    Vector objectives, gaps;  // φ and gap after every iteration,
    Vector seconds;           // and the time since the start
};

// Called after every iteration with its number, φ and gap; false stops.
using Watch = std::function<bool(std::int64_t iteration, double objective, double gap)>;

// The proximal point method from `start` (N), a feasible point: the next centre is
// argmin φ(s) + ‖s - c‖² / (2 step), found by Newton's method on the k-dimensional dual
//
//     max over u >= 0 of  uᵀt - Σ_j u_j² / (4 w_j) + min over s of ‖s - c‖² / (2 step) - ⟨Bu, s⟩,
//
// B = (y_ij²), whose minimiser is s(u) = P(c + step Bu). The Hessian is that of a sample of the
// rows strictly inside the box, the line search is exact and reads no row of Y: an iteration makes
// two passes over Y. φ is that of the best point on the segments between the points s(u), so that
// it never grows. Every value of the dual for step = ∞ is a lower bound on φ.
template <class T>
MomentFit match_moments(const MomentProblem<T>& problem, Vector start, double tol, int max_iter,
                        int n_threads, const Tick& tick, const Watch& watch);

}  // namespace skmm
