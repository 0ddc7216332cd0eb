// Conversion of arguments to a RowMatrix: from an array, or from a Python object whose methods make
// the passes.
#pragma once

#include <utility>

#include "arrays.hpp"
#include "gil.hpp"
#include "half_rows.hpp"
#include "skmm/linalg/row_matrix.hpp"

namespace skmm::bindings {

// The RowMatrix of contiguous rows in memory. It shares the memory of z.
template <class Z>
RowMatrix<ElementOfRows<Z>> row_matrix_of(const Z& z, int n_threads, const char* what) {
    return row_matrix(view_with_columns(z, what), n_threads);
}
// The same of rows in these strips.
template <class Z>
RowMatrix<ElementOfRows<Z>> row_matrix_of(const Z& z, int n_threads, const char* what,
                                          const Strips& strips) {
    const auto rows = view_with_columns(z, what);
    require(rows.rows == strips.n_rows(), "constraints: expected as many free rows as y has");
    return row_matrix(rows, n_threads, strips);
}

// The RowMatrix of a Python object. Its functions take the GIL and call z.array, z.row_norms,
// z.column_squares, z.square_dots and z.dots. They give z copies, which it may keep, and check the
// sizes of what it returns. z must outlive the result.
inline RowMatrix<double> row_matrix_of(const py::object& z, int n_threads, const char* what) {
    if (!py::hasattr(z, "square_dots")) throw py::type_error(what);
    const auto [n, k] = z.attr("shape").cast<std::pair<std::int64_t, std::int64_t>>();
    constexpr std::int64_t kMost = std::int64_t{1} << 62;
    require(0 <= n && 0 < k && n <= kMost / k, "shape: expected rows and columns");
    const auto copy = [](const py::object& result, std::int64_t size, double* out) {
        const auto flat = result.cast<py::array_t<double, py::array::c_style>>();
        require(flat.size() == size, "z: expected results of the right sizes");
        std::copy_n(flat.data(), size, out);
    };
    const auto give = [](const double* data, const auto&... shape) {
        return py::array_t<double>({shape...}, data);
    };
    return {
        n,
        k,
        [&z, copy, k = k](const std::vector<std::int64_t>& rows, double* out) {
            const HeldGil gil;
            copy(call(z.attr("array"), py::make_tuple(to_array(rows))),
                 static_cast<std::int64_t>(rows.size()) * k, out);
        },
        nullptr,
        [&z, n_threads, copy, give, n = n](MatrixView<double> d, const Tick& tick, double* q) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("row_norms"), py::make_tuple(give(d.data, d.rows, d.cols), n_threads)),
                 n, q);
        },
        [&z, n_threads, copy, give, n = n, k = k](const double* s, const Tick& tick, double* p) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("column_squares"), py::make_tuple(give(s, n), n_threads)), k, p);
        },
        [&z, n_threads, copy, give, n = n, k = k](const double* u, const Tick& tick, double* g) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("square_dots"), py::make_tuple(give(u, k), n_threads)), n, g);
        },
        [&z, n_threads, copy, give, n = n, k = k](const double* u, const Tick& tick, double* t) {
            tick(0);
            const HeldGil gil;
            copy(call(z.attr("dots"), py::make_tuple(give(u, k), n_threads)), n, t);
        }};
}
// Where rows are on several ranks, they are arrays.
inline RowMatrix<double> row_matrix_of(const py::object& z, int n_threads, const char* what,
                                       const Strips& strips) {
    if (strips.ranks().size > 1) throw py::type_error(what);
    return row_matrix_of(z, n_threads, what);
}

}  // namespace skmm::bindings
