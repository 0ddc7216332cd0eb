// Moment matching (SkMM, stage 2): a relaxed selection s whose weighted second moment dominates the
// targets along every direction of the rotated sketch Y.
//
//     minimise φ(s) = Σ_j w_j [t_j - Σ_i s_i y_ij²]₊²   over  0 <= s_i <= cap,  Σ_i s_i = count cap
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/parallel.hpp"
#include "skmm/views.hpp"

namespace skmm {

template <class T>
struct MomentProblem {
    MatrixView<T> y;       // (N, k), contiguous
    const double* target;  // (k)
    const double* weight;  // (k), >= 0
    double cap;
    std::int64_t count;  // 0 <= count <= N
};

struct MomentFit {
    double objective = 0.0;  // φ at the returned s
    double gap = 0.0;  // objective - (largest lower bound on φ seen); 0 <= φ(s) - min φ <= gap
    bool converged = false;  // gap <= tol φ(start), or φ = 0 to rounding
    // Of every iteration: φ, gap, and the seconds since the start.
    std::vector<double> objectives, gaps, seconds;
};

// Accelerated projected gradient (Beck and Teboulle, 2009) with backtracking and restart
// (O'Donoghue and Candès, 2015), from s (feasible) to s. φ never grows from one iteration to the
// next. Lower bounds come from the linearisation of φ at the extrapolated points.
template <class T>
MomentFit match_moments(const MomentProblem<T>& problem, double tol, int max_iter, int n_threads,
                        const Tick& tick, double* s);

}  // namespace skmm
