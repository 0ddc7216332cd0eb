// Rows picked one after another, each after one pass over the rows Z (N, m): n of them, those of
// include first, in this order. O(N) memory.
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/base/parallel.hpp"
#include "skmm/linalg/row_matrix.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm {

// A target q (m) that each pick moves: q += drift - M z, M (m, m) symmetric, I where null.
struct Target {
    std::vector<double> q, drift;
    const double* response;  // M
};

// Each pick has the largest 2 ⟨q, z_i⟩ - penalty_i. Herding: q = drift = mean of the rows, M = I,
// penalty_i = ‖z_i‖². Ties: lowest row.
template <class T>
std::vector<std::int64_t> pursue(const RowMatrix<T>& z, std::int64_t n, Target target,
                                 const double* penalty, const Constraints& constraints,
                                 int n_threads, const Tick& tick);

// Each pick is farthest from the nearest one before it; the first is random. The squared distance
// is own_i + own_j - 2 ⟨z_i, R z_j⟩, where R turns a row by `turn` columns and own_i =
// ⟨z_i, R z_i⟩; R is symmetric: turn = 0 (Euclidean) or m / 2. Ties: lowest row.
template <class T>
std::vector<std::int64_t> cover(const RowMatrix<T>& z, std::int64_t n, std::int64_t turn,
                                const double* own, const Constraints& constraints,
                                std::uint64_t seed, int n_threads, const Tick& tick);

// Each pick is random, with probability proportional to ‖residual of z_i beside the span of those
// before it‖². Where all residuals are rounding it begins anew, without those picked. `norm`:
// ‖z_i‖².
template <class T>
std::vector<std::int64_t> pivot(const RowMatrix<T>& z, std::int64_t n, const double* norm,
                                const Constraints& constraints, std::uint64_t seed, int n_threads,
                                const Tick& tick);

}  // namespace skmm
