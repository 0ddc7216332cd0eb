// A matrix (N, k) as what the solvers ask of it: passes over its rows, wherever these lie.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "skmm/base/parallel.hpp"
#include "skmm/base/views.hpp"
#include "skmm/linalg/products.hpp"

namespace skmm {

// Called outside parallel regions. What a method does not ask for may be empty.
template <class T>
struct RowMatrix {
    MatrixView<T> view;  // data is null where the rows are not in memory
    std::function<void(const std::vector<std::int64_t>& rows, T* out)> take;  // copies them
    // As in products.hpp, of all rows.
    std::function<void(MatrixView<double> d, const Tick& tick, double* q)> row_norms;
    std::function<void(const double* s, const Tick& tick, double* p)> column_squares;
    std::function<void(const double* u, const Tick& tick, double* g)> square_dots;
    std::function<void(const double* u, const Tick& tick, double* t)> dots;
};

// Of rows in memory.
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
