#include "skmm/moments.hpp"

#include "arrays.hpp"
#include "skmm/simplex.hpp"
#include "tick.hpp"

namespace skmm::bindings {
namespace {

template <class T>
void def_match(py::module_& m) {
    m.def(
        "match_moments",
        [](Array<T> y, Array<double> target, Array<double> weight, double cap, std::int64_t count,
           Array<double> start, double tol, int max_iter, int n_threads, py::object progress) {
            const auto rows = contiguous_view(y, "y: expected contiguous (N, k)");
            const MomentProblem<T> problem{
                rows, vector_data(target, rows.cols, "target: expected (k,)"),
                vector_data(weight, rows.cols, "weight: expected (k,)"), cap, count};
            const double* s0 = vector_data(start, rows.rows, "start: expected (N,)");
            require(0 <= count && count <= rows.rows, "count: expected 0..N");
            py::array_t<double> s(rows.rows, s0);
            threads(n_threads);
            const Tick tick = make_tick(std::move(progress));
            MomentFit fit;
            {
                double* const out = s.mutable_data();
                const py::gil_scoped_release release;
                fit = match_moments(problem, tol, max_iter, n_threads, tick, out);
            }
            return std::make_tuple(s, fit.objective, fit.gap, fit.converged,
                                   to_array(fit.objectives), to_array(fit.gaps),
                                   to_array(fit.seconds));
        },
        "y"_a.noconvert(), "target"_a.noconvert(), "weight"_a.noconvert(), "cap"_a, "count"_a,
        "start"_a.noconvert(), "tol"_a, "max_iter"_a, "n_threads"_a, "progress"_a = py::none());
}

}  // namespace

void moments(py::module_& m) {
    for_floats([&](auto zero) { def_match<decltype(zero)>(m); });
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
}

}  // namespace skmm::bindings
