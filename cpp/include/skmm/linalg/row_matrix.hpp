// RowMatrix: a matrix (N, k) that the solvers use only through passes over its rows. The rows may
// lie in memory or elsewhere, such as on a device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "skmm/base/parallel.hpp"
#include "skmm/base/views.hpp"
#include "skmm/linalg/products.hpp"

namespace skmm {

// The operations on the rows of a matrix (N, k). Solvers call them outside parallel regions. A
// function that a method does not call may be left empty.
template <class T>
struct RowMatrix {
    MatrixView<T> view;  // the shape, and the rows; data is null if they are not in memory
    // Copies the listed rows to out (rows.size(), k).
    std::function<void(const std::vector<std::int64_t>& rows, T* out)> take;
    // These four compute what the functions of the same name in linalg/products.hpp compute, over
    // all rows of the matrix.
    std::function<void(MatrixView<double> d, const Tick& tick, double* q)> row_norms;
    std::function<void(const double* s, const Tick& tick, double* p)> column_squares;
    std::function<void(const double* u, const Tick& tick, double* g)> square_dots;
    std::function<void(const double* u, const Tick& tick, double* t)> dots;
};

// The RowMatrix of rows in memory. It keeps a view of z, not a copy.
template <class T>
RowMatrix<T> row_matrix(MatrixView<T> z, int n_threads) {
    return {z,
            [z](const std::vector<std::int64_t>& rows, T* out) {
                for (const std::int64_t i : rows) out = std::copy_n(z.row(i), z.cols, out);
            },
            [z, n_threads](MatrixView<double> d, const Tick& tick, double* q) {
                row_norms(z, nullptr, z.rows, d, n_threads, tick, q);
            },
            [z, n_threads](const double* s, const Tick& tick, double* p) {
                column_squares(z, s, n_threads, tick, p);
            },
            [z, n_threads](const double* u, const Tick& tick, double* g) {
                square_dots(z, u, n_threads, tick, g);
            },
            [z, n_threads](const double* u, const Tick& tick, double* t) {
                dots(z, u, n_threads, tick, t);
            }};
}

}  // namespace skmm
