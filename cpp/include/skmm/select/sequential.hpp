// Methods that choose rows of Z (N, m) one after another, with one pass over Z per row. The rows of
// constraints.include come first, in their order; fewer than constraints.n() come back only if Z is
// not finite. The RowMatrix needs take and dots. Memory is O(N); random pivoting also keeps a basis
// of at most m vectors. The tick counts rows chosen.
#pragma once

#include <cstdint>

#include "skmm/base/tick.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm {

// The target of herding pursuit. Each chosen row z changes q by q += drift - M z, where M (m, m) is
// symmetric.
struct Target {
    Vector q, drift;         // (m), (m)
    const double* response;  // (m, m) M; null stands for the identity
};

// Chooses the row with the largest 2 ⟨q, z_i⟩ - penalty_i, then updates q. Ties go to the lowest
// row. Herding is the case q = drift = mean of the rows, M = I, penalty_i = ‖z_i‖².
template <class T>
RowList herding_pursuit(const RowMatrix<T>& z, Target target, const double* penalty,
                        const Constraints& constraints, int n_threads, const Tick& tick);

// Chooses the row whose distance to the nearest chosen row is largest. Ties go to the lowest row;
// if nothing is chosen yet, the first row is random. The squared distance of rows i and j is
// own_i + own_j - 2 ⟨z_i, R z_j⟩. R rotates a row by `turn` columns, and own_i = ⟨z_i, R z_i⟩. R
// must be symmetric, so turn is 0 (Euclidean distance) or m / 2.
template <class T>
RowList k_center(const RowMatrix<T>& z, std::int64_t turn, const double* own,
                 const Constraints& constraints, std::uint64_t seed, int n_threads,
                 const Tick& tick);

// Chooses a row at random, with probability proportional to the squared norm of the residual of z_i
// orthogonal to the span of the chosen rows. When every residual is zero up to rounding, the span
// is reset to {0} and the rows not yet chosen go on from their full norms. norm_i = ‖z_i‖².
template <class T>
RowList random_pivoting(const RowMatrix<T>& z, const double* norm, const Constraints& constraints,
                        std::uint64_t seed, int n_threads, const Tick& tick);

}  // namespace skmm
