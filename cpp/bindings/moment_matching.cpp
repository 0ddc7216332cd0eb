// Binding of moment matching.
#include "skmm/select/moment_matching.hpp"

#include "arrays.hpp"
#include "constraints.hpp"
#include "gil.hpp"
#include "row_matrix.hpp"
#include "strips.hpp"
#include "tick.hpp"

template <>
struct pybind11::detail::type_caster<skmm::MomentFit>
    : skmm::bindings::InitialisedCaster<skmm::MomentFit> {};

namespace skmm::bindings {
namespace {

// Wraps a Python callback(iteration, objective, gap). The solver stops if it returns a false value
// other than None.
Watch make_watch(py::object callback) {
    if (callback.is_none()) return {};
    return [callback](std::int64_t iteration, double objective, double gap) {
        const HeldGil gil;
        const py::object go_on = call(callback, py::make_tuple(iteration, objective, gap));
        return go_on.is_none() || go_on.cast<bool>();
    };
}

template <class T, class Y>
void def_match(py::module_& m) {
    m.def(
        "match_moments",
        [](const Y& y, Array<double> target, Array<double> weight, const Constraints& constraints,
           Array<double> start, double tol, int max_iter, int n_threads, py::object progress,
           py::object callback, const std::optional<Strips>& strips) {
            threads(n_threads);
            FreeRows free = free_rows(constraints, strips_for(strips, constraints.n_rows));
            const RowMatrix<T> rows =
                row_matrix_of(y, n_threads, "y: expected contiguous (N, k)", free.grouped.strips());
            const auto [n, k] = std::pair(rows.rows, rows.cols);
            require(n == static_cast<std::int64_t>(free.rows.size()),
                    "constraints: expected as many free rows as y has");
            const MomentProblem<T> problem{rows, vector_data(target, k, "target: expected (k,)"),
                                           vector_data(weight, k, "weight: expected (k,)"),
                                           1.0 / static_cast<double>(constraints.n()),
                                           std::move(free.grouped)};
            const double* const s = vector_data(start, n, "start: expected (N,)");
            const Tick tick = make_tick(std::move(progress));
            const Watch watch = make_watch(std::move(callback));
            const ReleasedGil released;
            return match_moments(problem, {s, s + n}, tol, max_iter, n_threads, tick, watch);
        },
        "y"_a.noconvert(), "target"_a.noconvert(), "weight"_a.noconvert(), "constraints"_a,
        "start"_a.noconvert(), "tol"_a, "max_iter"_a, "n_threads"_a, "progress"_a = py::none(),
        "callback"_a = py::none(), "strips"_a = py::none());
}

}  // namespace

void moment_matching(py::module_& m) {
    py::class_<MomentFit> fit(m, "MomentFit");
    fit.def_readonly("objective", &MomentFit::objective)
        .def_readonly("start", &MomentFit::start)
        .def_readonly("gap", &MomentFit::gap)
        .def_readonly("converged", &MomentFit::converged)
        .def_readonly("passes", &MomentFit::passes);
    const auto def_vector = [&fit](const char* name, Vector MomentFit::* member) {
        fit.def_property_readonly(name, [member](const py::object& self) {
            return array_of(self.cast<const MomentFit&>().*member, self);
        });
    };
    def_vector("s", &MomentFit::s);
    def_vector("moments", &MomentFit::moments);
    def_vector("objectives", &MomentFit::objectives);
    def_vector("gaps", &MomentFit::gaps);
    def_vector("seconds", &MomentFit::seconds);
    for_rows([&](auto* rows) {
        using Rows = std::decay_t<decltype(*rows)>;
        def_match<ElementOfRows<Rows>, Rows>(m);
    });
    def_match<double, py::object>(m);
}

}  // namespace skmm::bindings
