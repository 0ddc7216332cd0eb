// Second moments and norms of rows: O(N k²), in double whatever the type of the rows.
#pragma once

#include "skmm/base/parallel.hpp"
#include "skmm/base/views.hpp"

namespace skmm {

// M (k, k) = Σ_i s_i z_i z_iᵀ over the rows of Z (N, k); s_i >= 0, 1 where s is null. Rows of
// weight zero are not read.
template <class T>
void second_moment(MatrixView<T> z, const double* s, int n_threads, const Tick& tick, double* m);

// q_t = ‖z_iᵀD‖², i = rows[t] (i = t where rows is null), D (k, d).
template <class T>
void row_norms(MatrixView<T> z, const std::int64_t* rows, std::int64_t count, MatrixView<double> d,
               int n_threads, const Tick& tick, double* q);

// out_t = z_iᵀD likewise, rounded to T.
template <class T>
void multiply(MatrixView<T> z, const std::int64_t* rows, MatrixView<double> d, int n_threads,
              const Tick& tick, MutableMatrixView<T> out);

// p_j = Σ_i s_i y_ij², s_i = 1 where s is null.
template <class T>
void column_squares(MatrixView<T> y, const double* s, int n_threads, const Tick& tick, double* p);

// g_i = Σ_j u_j y_ij².
template <class T>
void square_dots(MatrixView<T> y, const double* u, int n_threads, const Tick& tick, double* g);

// t_i = Σ_j u_j z_ij.
template <class T>
void dots(MatrixView<T> z, const double* u, int n_threads, const Tick& tick, double* t);

}  // namespace skmm
