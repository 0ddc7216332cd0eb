// Rows chosen one after another, each after one pass over the rows Z (N, m): those of
// constraints.include first, in this order. O(N) memory.
#pragma once

#include <cstdint>

#include "skmm/base/parallel.hpp"
#include "skmm/linalg/dense.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm {

// The target q (m) of herding pursuit. Each pick z moves it: q += drift - M z, with a symmetric
// M (m, m), which is I where `response` is null.
struct Target {
    Vector q, drift;
    const double* response;
};

// Each pick has the largest 2 ⟨q, z_i⟩ - penalty_i. Herding: q = drift = mean of the rows, M = I,
// penalty_i = ‖z_i‖². Ties: lowest row.
template <class T>
RowList herding_pursuit(const RowMatrix<T>& z, Target target, const double* penalty,
                        const Constraints& constraints, int n_threads, const Tick& tick);

// Each pick is farthest from the nearest one before it; the first is random. The squared distance
// of rows i and j is own_i + own_j - 2 ⟨z_i, R z_j⟩, where R turns a row by `turn` columns and
// own_i = ⟨z_i, R z_i⟩; R is symmetric: turn = 0 (Euclidean) or m / 2. Ties: lowest row.
template <class T>
RowList k_center(const RowMatrix<T>& z, std::int64_t turn, const double* own,
                 const Constraints& constraints, std::uint64_t seed, int n_threads,
                 const Tick& tick);

// Each pick is random, with probability proportional to ‖residual of z_i beside the span of those
// before it‖². Where all residuals are rounding it begins anew, without those picked. norm_i =
// ‖z_i‖².
template <class T>
RowList random_pivoting(const RowMatrix<T>& z, const double* norm, const Constraints& constraints,
                        std::uint64_t seed, int n_threads, const Tick& tick);

}  // namespace skmm
