// Conversion of arguments to a RowMatrix: from an array, or from a Python object whose methods make
// the passes.
#pragma once

#include <utility>

#include "arrays.hpp"
#include "gil.hpp"
#include "skmm/linalg/row_matrix.hpp"

namespace skmm::bindings {

// The RowMatrix of a contiguous array. It shares the memory of z.
template <class T>
RowMatrix<T> row_matrix_of(const Array<T>& z, int n_threads, const char* what) {
    return row_matrix(contiguous_view(z, what), n_threads);
}

// The RowMatrix of a Python object. Its functions take the GIL and call z.array, z.row_norms,
// z.column_squares, z.square_dots and z.dots. z must outlive the result.
inline RowMatrix<double> row_matrix_of(const py::object& z, int n_threads, const char* what) {
    if (!py::hasattr(z, "square_dots")) throw py::type_error(what);
    const auto [n, k] = z.attr("shape").cast<std::pair<std::int64_t, std::int64_t>>();
    const auto copy = [](const py::object& result, std::int64_t size, double* out) {
        const py::array flat = result.cast<Array<double>>().reshape({size});
        std::copy_n(static_cast<const double*>(flat.data()), size, out);
    };
    const auto lend = [](const double* data, const auto&... shape) {
        return py::array_t<double>({shape...}, data, py::none());
    };
    return {
        {nullptr, n, k, k},
        [&z, copy, k = k](const std::vector<std::int64_t>& rows, double* out) {
            const HeldGil gil;
            copy(call(z.attr("array"), py::make_tuple(to_array(rows))),
                 static_cast<std::int64_t>(rows.size()) * k, out);
        },
        [&z, n_threads, copy, lend, n = n](MatrixView<double> d, const Tick& tick, double* q) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("row_norms"), py::make_tuple(lend(d.data, d.rows, d.cols), n_threads)),
                 n, q);
        },
        [&z, n_threads, copy, lend, n = n, k = k](const double* s, const Tick& tick, double* p) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("column_squares"), py::make_tuple(lend(s, n), n_threads)), k, p);
        },
        [&z, n_threads, copy, lend, n = n, k = k](const double* u, const Tick& tick, double* g) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("square_dots"), py::make_tuple(lend(u, k), n_threads)), n, g);
        },
        [&z, n_threads, copy, lend, n = n, k = k](const double* u, const Tick& tick, double* t) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("dots"), py::make_tuple(lend(u, k), n_threads)), n, t);
        }};
}

}  // namespace skmm::bindings
