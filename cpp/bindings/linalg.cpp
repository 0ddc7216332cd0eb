// Bindings of the products over rows.
#include <optional>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "gil.hpp"
#include "half_rows.hpp"
#include "skmm/linalg/products.hpp"
#include "strips.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

// The row numbers that an argument `rows` lists, or all rows in order if it is None.
class RowNumbers {
public:
    RowNumbers(const std::optional<Array<std::int64_t>>& rows, std::int64_t n_rows)
        : count_(rows ? rows->size() : n_rows) {
        if (!rows) return;
        listed_ = indices(*rows, count_, "rows: expected a contiguous vector");
        require(all_below(listed_, n_rows), "rows: expected 0..N-1");
    }
    std::int64_t count() const { return count_; }
    // Null for all rows.
    const std::int64_t* data() const { return listed_.empty() ? nullptr : listed_.data(); }

private:
    std::int64_t count_;
    std::vector<std::int64_t> listed_;
};

template <class Z>
void def_products(py::module_& m) {
    using T = ElementOfRows<Z>;
    using View = decltype(view_with_columns(std::declval<const Z&>(), ""));
    m.def(
        "second_moment",
        [](const Z& z, std::optional<Array<double>> s, int n_threads, py::object progress,
           const std::optional<Strips>& given) {
            const auto rows = view_with_columns(z, "z: expected contiguous (N, k)");
            require(rows.rows > 0 || given, "z: expected contiguous (N, k) of at least one row");
            const Strips strips = strips_for(given, rows.rows);
            const double* const weight =
                s ? vector_data(*s, rows.rows, "s: expected (N,)") : nullptr;
            threads(n_threads);
            py::array_t<double> out({rows.cols, rows.cols});
            const Tick tick = make_tick(std::move(progress));
            double* const m = out.mutable_data();
            const ReleasedGil released;
            second_moment(rows, weight, strips, n_threads, tick, m);
            return out;
        },
        "z"_a.noconvert(), "s"_a.noconvert() = py::none(), "n_threads"_a = 1,
        "progress"_a = py::none(), "strips"_a = py::none());
    m.def(
        "row_norms",
        [](const Z& z, Array<double> d, std::optional<Array<std::int64_t>> rows, int n_threads,
           py::object progress) {
            const auto all = view_with_columns(z, "z: expected contiguous (N, k)");
            const auto by = view_with_columns(d, "d: expected contiguous (k, d)");
            require(by.rows == all.cols, "d: expected as many rows as z has columns");
            const RowNumbers which(rows, all.rows);
            threads(n_threads);
            py::array_t<double> out(which.count());
            const Tick tick = make_tick(std::move(progress));
            double* const q = out.mutable_data();
            const ReleasedGil released;
            row_norms(all, which.data(), which.count(), by, n_threads, tick, q);
            return out;
        },
        "z"_a.noconvert(), "d"_a.noconvert(), "rows"_a.noconvert() = py::none(), "n_threads"_a = 1,
        "progress"_a = py::none());
    const auto def_multiply = [&m](const char* name, auto multiply) {
        m.def(
            name,
            [multiply](const Z& z, Array<double> d, std::optional<Array<std::int64_t>> rows,
                       Array<T> out, int n_threads, py::object progress) {
                const auto all = view_with_columns(z, "z: expected contiguous (N, k)");
                const auto by = view_with_columns(d, "d: expected contiguous (k, d)");
                require(by.rows == all.cols, "d: expected as many rows as z has columns");
                const RowNumbers which(rows, all.rows);
                const auto to =
                    mutable_view(out, which.count(), by.cols, "out: expected contiguous (rows, d)");
                threads(n_threads);
                const Tick tick = make_tick(std::move(progress));
                const ReleasedGil released;
                multiply(all, which.data(), by, n_threads, tick, to);
            },
            "z"_a.noconvert(), "d"_a.noconvert(), "rows"_a.noconvert(), "out"_a.noconvert(),
            "n_threads"_a, "progress"_a = py::none());
    };
    def_multiply("multiply", &multiply<View, T>);
    def_multiply("multiply_rounded", &multiply_rounded<View>);
    const auto def_each_row = [&m](const char* name, auto each_row) {
        m.def(
            name,
            [each_row](const Z& z, Array<double> u, int n_threads, py::object progress) {
                const auto rows = view_with_columns(z, "z: expected contiguous (N, k)");
                const double* const by = vector_data(u, rows.cols, "u: expected (k,)");
                threads(n_threads);
                py::array_t<double> out(rows.rows);
                const Tick tick = make_tick(std::move(progress));
                double* const x = out.mutable_data();
                const ReleasedGil released;
                each_row(rows, by, n_threads, tick, x);
                return out;
            },
            "z"_a.noconvert(), "u"_a.noconvert(), "n_threads"_a = 1, "progress"_a = py::none());
    };
    def_each_row("square_dots", &square_dots<View>);
    def_each_row("dots", &dots<View>);
    m.def(
        "sum_unit_rows",
        [](const Z& z, Array<std::int64_t> cell, std::int64_t cells,
           std::optional<Array<std::int64_t>> rows, int n_threads, py::object progress) {
            const auto all = view_with_columns(z, "z: expected contiguous (N, k)");
            const RowNumbers which(rows, all.rows);
            const auto of = indices(cell, which.count(), "cell: expected one number per row");
            require(1 <= cells && cells <= which.count(), "cells: expected 1..rows");
            require(all_below(of, cells), "cell: expected 0..cells-1");
            threads(n_threads);
            py::array_t<double> sums({cells, all.cols});
            const Tick tick = make_tick(std::move(progress));
            double* const out = sums.mutable_data();
            const ReleasedGil released;
            sum_unit_rows(all, which.data(), which.count(), of.data(), cells, n_threads, tick, out);
            return sums;
        },
        "z"_a.noconvert(), "cell"_a.noconvert(), "cells"_a, "rows"_a.noconvert() = py::none(),
        "n_threads"_a = 1, "progress"_a = py::none());
    m.def(
        "column_squares",
        [](const Z& y, std::optional<Array<double>> s, int n_threads, py::object progress,
           const std::optional<Strips>& given) {
            const auto rows = view_with_columns(y, "y: expected contiguous (N, k)");
            const Strips strips = strips_for(given, rows.rows);
            const double* const weight =
                s ? vector_data(*s, rows.rows, "s: expected (N,)") : nullptr;
            threads(n_threads);
            py::array_t<double> out(rows.cols);
            const Tick tick = make_tick(std::move(progress));
            double* const p = out.mutable_data();
            const ReleasedGil released;
            column_squares(rows, weight, strips, n_threads, tick, p);
            return out;
        },
        "y"_a.noconvert(), "s"_a.noconvert() = py::none(), "n_threads"_a = 1,
        "progress"_a = py::none(), "strips"_a = py::none());
}

}  // namespace

void linalg(py::module_& m) {
    for_rows([&](auto* z) { def_products<std::decay_t<decltype(*z)>>(m); });
    m.def(
        "inner",
        [](Array<double> a, Array<double> b, const Strips& strips, int n_threads) {
            const std::int64_t n = strips.n_rows();
            const double* const x = vector_data(a, n, "a: expected (n_rows,)");
            const double* const y = vector_data(b, n, "b: expected (n_rows,)");
            threads(n_threads);
            const ReleasedGil released;
            return inner(x, y, strips, n_threads);
        },
        "a"_a.noconvert(), "b"_a.noconvert(), "strips"_a, "n_threads"_a);
}

}  // namespace skmm::bindings
