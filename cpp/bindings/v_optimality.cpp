// Binding of V-optimal selection.
#include "skmm/select/v_optimality.hpp"

#include <pybind11/native_enum.h>

#include <algorithm>
#include <utility>

#include "arrays.hpp"
#include "constraints.hpp"
#include "gil.hpp"
#include "row_matrix.hpp"
#include "strips.hpp"
#include "tick.hpp"

template <>
struct pybind11::detail::type_caster<skmm::Design>
    : skmm::bindings::InitialisedCaster<skmm::Design> {};

namespace skmm::bindings {
namespace {

// Raises ValueError unless the rows of `start` are distinct, free, and within the counts. All rows
// are here.
void require_start(const Constraints& c, const RowList& start) {
    std::vector<std::int64_t> left = c.counts;
    RowList taken = c.include;
    for (const std::int64_t i : c.include) --left[static_cast<std::size_t>(c.group_of(i))];
    for (const std::int64_t i : start)
        require(0 <= i && i < c.n_rows && c.group_of(i) >= 0 &&
                    left[static_cast<std::size_t>(c.group_of(i))]-- > 0,
                "start: expected rows within the counts");
    taken.insert(taken.end(), start.begin(), start.end());
    std::sort(taken.begin(), taken.end());
    require(std::adjacent_find(taken.begin(), taken.end()) == taken.end(),
            "start: expected distinct rows beside those of include");
}

// The same for rows of all ranks: each looks at its own, and all raise if one does.
void require_start_of_all(const Constraints& c, const Strips& strips, const RowList& start) {
    RowList here;
    const std::size_t n_groups = c.counts.size();
    std::vector<double> seen(n_groups + 2);  // rows of each group; faults; rows of `start`
    for (const std::int64_t row : start) {
        const std::int64_t i = row - strips.first_row();
        if (i < 0 || i >= c.n_rows) continue;
        here.push_back(i);
        ++seen[c.group_of(i) < 0 ? n_groups : static_cast<std::size_t>(c.group_of(i))];
    }
    seen[n_groups + 1] = static_cast<double>(here.size());
    here.insert(here.end(), c.include.begin(), c.include.end());
    for (const std::int64_t i : c.include) ++seen[static_cast<std::size_t>(c.group_of(i))];
    std::sort(here.begin(), here.end());
    if (std::adjacent_find(here.begin(), here.end()) != here.end()) ++seen[n_groups];
    seen = strips.sum(std::move(seen));
    bool within = seen[n_groups] == 0.0 && seen[n_groups + 1] == static_cast<double>(start.size());
    for (std::size_t g = 0; g < n_groups; ++g)
        within = within && seen[g] <= static_cast<double>(c.counts[g]);
    require(within, "start: expected distinct rows within the counts");
}

template <class T, class Z>
void def_v_optimal(py::module_& m) {
    m.def(
        "v_optimal",
        [](const Z& z, Array<double> b, const Constraints& constraints, std::int64_t block,
           Sampler sampler, double temperature, double ridge, bool refine, double pays,
           double enough, std::uint64_t seed, const RowList& start, int n_threads,
           py::object progress, const std::optional<Strips>& given) {
            threads(n_threads);
            const RowMatrix<T> rows = row_matrix_of(z, n_threads, "z: expected contiguous (N, m)");
            const Strips strips = strips_for(given, rows.rows);
            const auto by = view_with_columns(b, "b: expected contiguous (m, k)");
            require(by.rows == rows.cols, "b: expected as many rows as z has columns");
            require(block >= 1, "block: expected at least 1");
            require_for(constraints, rows.rows);
            if (strips.ranks().size == 1) {
                require_start(constraints, start);
            } else {
                require(sampler == Sampler::kGreedy, "sampler: expected greedy on several ranks");
                require(rows.block != nullptr, "z: expected contiguous (N, m)");
                require_start_of_all(constraints, strips, start);
            }
            const DesignOptions options{block,  sampler, temperature, ridge,
                                        refine, pays,    enough,      seed};
            const Tick tick = make_tick(std::move(progress));
            const ReleasedGil released;
            return v_optimal(Whitened<T>{rows, by}, options, constraints, strips, start, n_threads,
                             tick);
        },
        "z"_a.noconvert(), "b"_a.noconvert(), "constraints"_a, "block"_a, "sampler"_a,
        "temperature"_a, "ridge"_a, "refine"_a, "pays"_a, "enough"_a, "seed"_a, "start"_a,
        "n_threads"_a, "progress"_a = py::none(), "strips"_a = py::none());
}

}  // namespace

void v_optimality(py::module_& m) {
    py::class_<Design>(m, "Design")
        .def_property_readonly(
            "rows",
            [](const py::object& self) { return array_of(self.cast<const Design&>().rows, self); })
        .def_readonly("swaps", &Design::swaps);
    py::native_enum<Sampler>(m, "Sampler", "enum.Enum")
        .value("greedy", Sampler::kGreedy)
        .value("linear", Sampler::kLinear)
        .value("exp", Sampler::kExp)
        .finalize();
    for_rows([&](auto* rows) {
        using Rows = std::decay_t<decltype(*rows)>;
        def_v_optimal<ElementOfRows<Rows>, Rows>(m);
    });
    def_v_optimal<double, py::object>(m);
}

}  // namespace skmm::bindings
