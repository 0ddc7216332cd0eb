// Moment matching (SkMM, stage 2): finds a relaxed selection s whose weighted second moment is at
// least the target t_j along every column j of the rotated sketch Y:
//
//     minimise  φ(s) = Σ_j w_j [t_j - Σ_i s_i y_ij²]₊²
//     over      Π { 0 <= s_i <= cap, Σ_i s_i = count cap },  the product over groups of rows.
#pragma once

#include <cstdint>
#include <functional>

#include "skmm/base/tick.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/grouped_rows.hpp"
#include "skmm/linalg/row_matrix.hpp"

namespace skmm {

template <class T>
struct MomentProblem {
    RowMatrix<T> y;        // (N, k) the rows here, in the order of `rows`; uses take,
                           // column_squares and square_dots
    const double* target;  // (k) t
    const double* weight;  // (k) w > 0
    double cap;            // upper bound on each s_i
    GroupedRows rows;      // how these rows lie in strips and groups
};

struct MomentFit {
    Vector s;                 // (N) best point found, for the rows here
    double objective = 0.0;   // φ(s)
    double start = 0.0;       // φ at the start
    double gap = 0.0;         // 0 <= φ(s) - min φ <= gap, from the best lower bound found
    bool converged = false;   // gap <= tol * start, or φ(s) = 0 up to rounding
    std::int64_t passes = 0;  // passes over Y
    Vector moments;           // (k) Σ_i s_i y_ij²
    Vector objectives, gaps;  // (iterations) φ and gap after each iteration
    Vector seconds;           // (iterations) seconds since the start, after each iteration
};

// Called after every iteration with its number, φ and the gap, from the calling thread. The solver
// stops if it returns false. An empty one, `{}`, never stops it.
using Watch = std::function<bool(std::int64_t iteration, double objective, double gap)>;

// Minimises φ by the proximal point method from the feasible point `start` (N). From a centre c,
// the next centre is argmin φ(s) + ‖s - c‖² / (2 step). It is found by Newton's method on the dual
// in k variables,
//
//     max over u >= 0 of  uᵀt - Σ_j u_j² / (4 w_j) + min over s of ‖s - c‖² / (2 step) - ⟨Bu, s⟩,
//
// where B = (y_ij²) and s is feasible. The inner minimiser is s(u) = P(c + step Bu), with P the
// projection onto the feasible set. The Hessian is estimated from a sample of the rows with
// 0 < s_i < cap. The line search is exact and does not read Y, so an iteration makes two passes
// over Y. After each iteration the best point moves to the minimiser of φ on the segment from it to
// the new s(u), so that φ never increases. The value of the dual with step = ∞ at any u >= 0 is a
// lower bound on φ.
//
// Where other ranks have more of the rows, all of them call this with their own rows and entries of
// `start`, and get the same numbers and bits. In an iteration a rank sends the k moments and a few
// numbers per group for each step of a line search, and its share of the rows that the Hessian is
// estimated from: no more than 16 k rows or 4096 on all ranks, about k near the end.
template <class T>
MomentFit match_moments(const MomentProblem<T>& problem, Vector start, double tol, int max_iter,
                        int n_threads, const Tick& tick, const Watch& watch);

}  // namespace skmm
