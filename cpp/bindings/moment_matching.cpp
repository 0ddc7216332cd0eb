#include "skmm/select/moment_matching.hpp"

#include "arrays.hpp"
#include "row_matrix.hpp"
#include "skmm/linalg/simplex.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

// Consecutive groups of (size, count) rows.
Groups groups_of(const std::vector<std::array<std::int64_t, 2>>& sizes, std::int64_t n_rows) {
    Groups groups;
    std::int64_t first = 0;
    for (const auto& [size, count] : sizes) {
        require(0 <= count && count <= size && size <= n_rows - first,
                "groups: expected counts 0..size, and sizes that sum to N");
        groups.push_back({first, first + size, count});
        first += size;
    }
    require(first == n_rows, "groups: expected counts 0..size, and sizes that sum to N");
    return groups;
}

Watch make_watch(py::object callback) {
    if (callback.is_none()) return [](std::int64_t, double, double) { return true; };
    return [callback](std::int64_t iteration, double objective, double gap) {
        const py::gil_scoped_acquire gil;
        const py::object go_on = callback(iteration, objective, gap);
        return go_on.is_none() || go_on.cast<bool>();
    };
}

template <class T, class Y>
void def_match(py::module_& m) {
    m.def(
        "match_moments",
        [](Y y, Array<double> target, Array<double> weight, double cap,
           const std::vector<std::array<std::int64_t, 2>>& sizes, Array<double> start, double tol,
           int max_iter, int n_threads, py::object progress, py::object callback) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(y, n_threads, "y: expected contiguous (N, k)");
            const auto [n, k] = std::pair(rows.view.rows, rows.view.cols);
            const MomentProblem<T> problem{rows, vector_data(target, k, "target: expected (k,)"),
                                           vector_data(weight, k, "weight: expected (k,)"), cap,
                                           groups_of(sizes, n)};
            py::array_t<double> s(n, vector_data(start, n, "start: expected (N,)"));
            const Tick tick = make_tick(std::move(progress));
            const Watch watch = make_watch(std::move(callback));
            MomentFit fit;
            {
                double* const out = s.mutable_data();
                const py::gil_scoped_release release;
                fit = match_moments(problem, tol, max_iter, n_threads, tick, watch, out);
            }
            return std::make_tuple(s, fit.objective, fit.start, fit.gap, fit.converged, fit.passes,
                                   to_array(fit.moments), to_array(fit.objectives),
                                   to_array(fit.gaps), to_array(fit.seconds));
        },
        "y"_a.noconvert(), "target"_a.noconvert(), "weight"_a.noconvert(), "cap"_a, "groups"_a,
        "start"_a.noconvert(), "tol"_a, "max_iter"_a, "n_threads"_a, "progress"_a = py::none(),
        "callback"_a = py::none());
}

}  // namespace

void moments(py::module_& m) {
    for_floats([&](auto zero) { def_match<decltype(zero), Array<decltype(zero)>>(m); });
    def_match<double, py::object>(m);
    m.def(
        "project_capped_simplex",
        [](Array<double> v, double cap, double total, int n_threads) {
            const std::int64_t n = v.size();
            const double* const in = vector_data(v, n, "v: expected a contiguous vector");
            threads(n_threads);
            require(0.0 < total && total <= static_cast<double>(n) * cap * (1 + 1e-12),
                    "total: expected 0 < total <= n cap");
            py::array_t<double> s(n);
            double* const out = s.mutable_data();
            const py::gil_scoped_release release;
            project_capped_simplex(in, n, cap, total, 0.0, n_threads, out);
            return s;
        },
        "v"_a.noconvert(), "cap"_a, "total"_a, "n_threads"_a);
    m.def(
        "support",
        [](Array<double> g, double cap, std::int64_t count, double slack, int n_threads) {
            const std::int64_t n = g.size();
            const double* const in = vector_data(g, n, "g: expected a contiguous vector");
            threads(n_threads);
            require(0 <= count && count <= n && n > 0, "count: expected 0..N");
            const py::gil_scoped_release release;
            return support(in, {{0, n, count}}, cap, slack, n_threads);
        },
        "g"_a.noconvert(), "cap"_a, "count"_a, "slack"_a, "n_threads"_a);
}

}  // namespace skmm::bindings
