// Second moments and norms of rows: O(N k²), in double whatever the type of the rows.
#pragma once

#include "skmm/parallel.hpp"
#include "skmm/views.hpp"

namespace skmm {

// M (k, k) = Σ_i s_i z_i z_iᵀ over the rows of Z (N, k); s_i >= 0, 1 where s is null. Rows of
// weight zero are not read.
template <class T>
void second_moment(MatrixView<T> z, const double* s, int n_threads, const Tick& tick, double* m);

// q_i = ‖z_iᵀD‖² of every row, D (k, d) row-major.
template <class T>
void row_norms(MatrixView<T> z, MatrixView<double> d, int n_threads, const Tick& tick, double* q);

// The same of the rows listed, q_t that of row rows[t].
template <class T>
void row_norms(MatrixView<T> z, const std::int64_t* rows, std::int64_t count, MatrixView<double> d,
               int n_threads, const Tick& tick, double* q);

}  // namespace skmm
