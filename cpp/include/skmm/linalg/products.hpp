// Products over the rows of a matrix: second moments, norms, and products with a small matrix or a
// vector. With D (k, k) the first four cost O(N k²), the others O(N k). Sums are taken in double,
// whatever the element type of the rows, but for multiply_rounded().
//
// A View is a contiguous MatrixView (stride = cols) of float or double, or a HalfView, with 1 to
// 2^31 - 1 columns. Rows of halves are widened in small blocks just before use, so results have the
// bits of those for the same rows as floats. Rows may be listed more than once. The tick counts
// rows.
#pragma once

#include <cstdint>

#include "skmm/base/half_view.hpp"
#include "skmm/base/strips.hpp"
#include "skmm/base/tick.hpp"
#include "skmm/base/views.hpp"

namespace skmm {

// M (k, k) = Σ_i s_i z_i z_iᵀ over the rows z_i of all ranks, of which Z (N, k) has those here,
// with weights s_i >= 0. A null s stands for s_i = 1. Rows of weight zero are not read.
template <class View>
void second_moment(View z, const double* s, const Strips& strips, int n_threads, const Tick& tick,
                   double* m);
template <class View>
void second_moment(View z, const double* s, int n_threads, const Tick& tick, double* m) {
    second_moment(z, s, Strips(z.rows), n_threads, tick, m);
}

// q_t = ‖z_iᵀD‖² for t < count, with D (k, d) and i = rows[t]. If rows is null, i = t.
template <class View>
void row_norms(View z, const std::int64_t* rows, std::int64_t count, MatrixView<double> d,
               int n_threads, const Tick& tick, double* q);

// Row t of out (count, d) is z_iᵀD rounded to Out, with D (k, d) and i = rows[t]. If rows is null,
// i = t. The count is out.rows. Out is the element type of the rows or double.
template <class View, class Out>
void multiply(View z, const std::int64_t* rows, MatrixView<double> d, int n_threads,
              const Tick& tick, MutableMatrixView<Out> out);

// The same in the arithmetic of the element type, with D rounded to float, for choices that need no
// more digits.
template <class View>
void multiply_rounded(View z, const std::int64_t* rows, MatrixView<double> d, int n_threads,
                      const Tick& tick, MutableMatrixView<Element<View>> out);

// Row t of out (count, k) is z_i with i = rows[t]. If rows is null, i = t.
template <class View>
void take(View z, const std::int64_t* rows, std::int64_t count, int n_threads, Element<View>* out);

// Returns the rows [first, first + count) of a contiguous Z (N, k), in place or in the scratch
// memory room (count, k).
template <class View>
const Element<View>* block(View z, std::int64_t first, std::int64_t count, Element<View>* room);

// Row c of the sums (cells, k) is Σ z_i / ‖z_i‖ over the t < count with cell[t] = c, with
// i = rows[t]. If rows is null, i = t. Rows of zeros are left out.
template <class View>
void sum_unit_rows(View z, const std::int64_t* rows, std::int64_t count, const std::int64_t* cell,
                   std::int64_t cells, int n_threads, const Tick& tick, double* sums);

// p_j = Σ_i s_i y_ij² over the rows i of all ranks, of which Y (N, k) has those here. A null s
// stands for s_i = 1.
template <class View>
void column_squares(View y, const double* s, const Strips& strips, int n_threads, const Tick& tick,
                    double* p);
template <class View>
void column_squares(View y, const double* s, int n_threads, const Tick& tick, double* p) {
    column_squares(y, s, Strips(y.rows), n_threads, tick, p);
}

// g_i = Σ_j u_j y_ij² for the rows i of Y (N, k).
template <class View>
void square_dots(View y, const double* u, int n_threads, const Tick& tick, double* g);

// t_i = Σ_j u_j z_ij for the rows i of Z (N, k).
template <class View>
void dots(View z, const double* u, int n_threads, const Tick& tick, double* t);

// Returns Σ_i a_i b_i over the rows i of all ranks, of which a and b have those here.
double inner(const double* a, const double* b, const Strips& strips, int n_threads);

}  // namespace skmm
