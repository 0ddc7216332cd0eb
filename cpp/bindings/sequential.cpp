#include "skmm/select/sequential.hpp"

#include <optional>
#include <utility>

#include "arrays.hpp"
#include "constraints.hpp"
#include "row_matrix.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

std::vector<double> vector_of(const Array<double>& a, std::int64_t size, const char* what) {
    const double* const x = vector_data(a, size, what);
    return {x, x + size};
}

template <class T, class Z>
void def_picks(py::module_& m) {
    using Rows = std::vector<std::int64_t>;
    m.def(
        "pursue",
        [](Z z, std::int64_t n, Array<double> q, Array<double> drift,
           std::optional<Array<double>> response, Array<double> penalty, Array<std::int32_t> group,
           Rows quota, Rows include, int n_threads, py::object progress) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const std::int64_t N = rows.view.rows, k = rows.view.cols;
            const double* const by = vector_data(penalty, N, "penalty: expected (N,)");
            Target target{vector_of(q, k, "q: expected (m,)"),
                          vector_of(drift, k, "drift: expected (m,)"), nullptr};
            if (response) {
                const auto view = contiguous_view(*response, "response: expected contiguous");
                require(view.rows == k && view.cols == k, "response: expected (m, m)");
                target.response = view.data;
            }
            const Constraints constraints =
                constraints_of(n, N, group, std::move(quota), std::move(include));
            const Tick tick = make_tick(std::move(progress));
            Rows chosen;
            {
                const py::gil_scoped_release release;
                chosen = pursue(rows, n, std::move(target), by, constraints, n_threads, tick);
            }
            return to_array(chosen);
        },
        "z"_a.noconvert(), "n"_a, "q"_a.noconvert(), "drift"_a.noconvert(),
        "response"_a.noconvert(), "penalty"_a.noconvert(), "group"_a.noconvert(), "quota"_a,
        "include"_a, "n_threads"_a, "progress"_a = py::none());
    m.def(
        "cover",
        [](Z z, std::int64_t n, std::int64_t turn, Array<double> own, std::uint64_t seed,
           Array<std::int32_t> group, Rows quota, Rows include, int n_threads,
           py::object progress) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const std::int64_t N = rows.view.rows;
            const double* const own_of = vector_data(own, N, "own: expected (N,)");
            require(turn == 0 || 2 * turn == rows.view.cols, "turn: expected 0 or m / 2");
            const Constraints constraints =
                constraints_of(n, N, group, std::move(quota), std::move(include));
            const Tick tick = make_tick(std::move(progress));
            Rows chosen;
            {
                const py::gil_scoped_release release;
                chosen = cover(rows, n, turn, own_of, constraints, seed, n_threads, tick);
            }
            return to_array(chosen);
        },
        "z"_a.noconvert(), "n"_a, "turn"_a, "own"_a.noconvert(), "seed"_a, "group"_a.noconvert(),
        "quota"_a, "include"_a, "n_threads"_a, "progress"_a = py::none());
    m.def(
        "pivot",
        [](Z z, std::int64_t n, Array<double> norm, std::uint64_t seed, Array<std::int32_t> group,
           Rows quota, Rows include, int n_threads, py::object progress) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const std::int64_t N = rows.view.rows;
            const double* const norms = vector_data(norm, N, "norm: expected (N,)");
            const Constraints constraints =
                constraints_of(n, N, group, std::move(quota), std::move(include));
            const Tick tick = make_tick(std::move(progress));
            Rows chosen;
            {
                const py::gil_scoped_release release;
                chosen = pivot(rows, n, norms, constraints, seed, n_threads, tick);
            }
            return to_array(chosen);
        },
        "z"_a.noconvert(), "n"_a, "norm"_a.noconvert(), "seed"_a, "group"_a.noconvert(), "quota"_a,
        "include"_a, "n_threads"_a, "progress"_a = py::none());
}

}  // namespace

void picks(py::module_& m) {
    for_floats([&](auto zero) { def_picks<decltype(zero), Array<decltype(zero)>>(m); });
    def_picks<double, py::object>(m);
}

}  // namespace skmm::bindings
