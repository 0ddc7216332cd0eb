// RowMatrix: a matrix (N, k) that the solvers use only through passes over its rows. The rows may
// lie in memory or elsewhere, such as on a device; other ranks may have more of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "skmm/base/tick.hpp"
#include "skmm/base/views.hpp"
#include "skmm/linalg/products.hpp"

namespace skmm {

// The operations on the rows of a matrix (N, k). Solvers call them outside parallel regions, but
// for `block`. A function that a method does not call may be left empty. Where other ranks have
// more of the rows, column_squares sums over the rows of all; the others are about those here.
template <class T>
struct RowMatrix {
    std::int64_t rows, cols;
    // Copies the listed rows to out (rows.size(), k).
    std::function<void(const std::vector<std::int64_t>& rows, T* out)> take;
    // Returns the rows [first, first + count), in place or in the scratch memory room (count, k).
    // Many threads may call it at once. It is empty if the rows are not in memory.
    std::function<const T*(std::int64_t first, std::int64_t count, T* room)> block;
    // These four compute what the functions of the same name in linalg/products.hpp compute, over
    // all rows of the matrix.
    std::function<void(MatrixView<double> d, const Tick& tick, double* q)> row_norms;
    std::function<void(const double* s, const Tick& tick, double* p)> column_squares;
    std::function<void(const double* u, const Tick& tick, double* g)> square_dots;
    std::function<void(const double* u, const Tick& tick, double* t)> dots;
};

// The RowMatrix of contiguous rows in memory, which lie in these strips. It keeps a view of z, not
// a copy.
template <class View>
RowMatrix<Element<View>> row_matrix(View z, int n_threads, const Strips& strips) {
    using T = Element<View>;
    return {z.rows,
            z.cols,
            [z, n_threads](const std::vector<std::int64_t>& rows, T* out) {
                take(z, rows.data(), static_cast<std::int64_t>(rows.size()), n_threads, out);
            },
            [z](std::int64_t first, std::int64_t count, T* room) {
                return block(z, first, count, room);
            },
            [z, n_threads](MatrixView<double> d, const Tick& tick, double* q) {
                row_norms(z, nullptr, z.rows, d, n_threads, tick, q);
            },
            [z, n_threads, strips](const double* s, const Tick& tick, double* p) {
                column_squares(z, s, strips, n_threads, tick, p);
            },
            [z, n_threads](const double* u, const Tick& tick, double* g) {
                square_dots(z, u, n_threads, tick, g);
            },
            [z, n_threads](const double* u, const Tick& tick, double* t) {
                dots(z, u, n_threads, tick, t);
            }};
}
template <class View>
RowMatrix<Element<View>> row_matrix(View z, int n_threads) {
    return row_matrix(z, n_threads, Strips(z.rows));
}

}  // namespace skmm
