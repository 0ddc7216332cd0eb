// Binding of the constraints on a selection, and of the capped simplices of its free rows.
#include "skmm/select/constraints.hpp"

#include <optional>

#include "arrays.hpp"
#include "constraints.hpp"
#include "gil.hpp"
#include "skmm/linalg/simplex.hpp"
#include "strips.hpp"

namespace skmm::bindings {
namespace {

// Returns constraints whose indices are safe for the core and that some selection satisfies. Raises
// ValueError for others. Rows are those here, counts are for all ranks.
Constraints checked_constraints(std::int64_t n_rows, std::optional<Array<std::int32_t>> group,
                                std::vector<std::int64_t> counts, RowList include,
                                const std::optional<Strips>& strips) {
    require(n_rows >= 0, "n_rows: expected at least 0");
    Constraints c{n_rows, {}, std::move(counts), std::move(include)};
    require(group || c.n_groups() == 1, "group: expected (N,) where there is more than one count");
    const std::size_t n_groups = c.counts.size();
    std::vector<double> sizes(2 * n_groups);  // of groups; of their rows of include
    if (group) {
        const std::int32_t* const g = vector_data(*group, n_rows, "group: expected (N,)");
        c.group.assign(g, g + n_rows);
        for (const std::int32_t i : c.group) {
            require(i < c.n_groups(), "group: expected less than the number of counts");
            if (i >= 0) ++sizes[static_cast<std::size_t>(i)];
        }
    } else {
        sizes[0] = static_cast<double>(n_rows);
    }
    std::vector<bool> included(static_cast<std::size_t>(n_rows));
    for (const std::int64_t i : c.include) {
        require(
            0 <= i && i < n_rows && c.group_of(i) >= 0 && !included[static_cast<std::size_t>(i)],
            "include: expected distinct rows within the counts");
        included[static_cast<std::size_t>(i)] = true;
        ++sizes[n_groups + static_cast<std::size_t>(c.group_of(i))];
    }
    sizes = strips_for(strips, n_rows).sum(std::move(sizes));
    for (std::size_t k = 0; k < n_groups; ++k) {
        const auto count = static_cast<double>(c.counts[k]);
        require(0.0 <= count && count <= sizes[k],
                "counts: expected no more than the rows of each group");
        require(sizes[n_groups + k] <= count, "include: expected distinct rows within the counts");
    }
    require(c.n() >= 1, "counts: expected at least one row");
    return c;
}

}  // namespace

void require_for(const Constraints& c, std::int64_t n_rows) {
    require(c.n_rows == n_rows, "constraints: expected as many rows as the matrix has");
}

void constraints(py::module_& m) {
    py::class_<FreeRows>(m, "FreeRows")
        .def_property_readonly("rows",
                               [](const py::object& self) {
                                   return array_of(self.cast<const FreeRows&>().rows, self);
                               })
        .def_property_readonly("counts",
                               [](const FreeRows& free) {
                                   std::vector<std::int64_t> counts;
                                   for (std::int64_t g = 0; g < free.grouped.n_groups(); ++g)
                                       counts.push_back(free.grouped.group(g).count);
                                   return counts;
                               })
        .def_property_readonly("sizes",
                               [](const FreeRows& free) {
                                   std::vector<std::int64_t> sizes;
                                   for (std::int64_t g = 0; g < free.grouped.n_groups(); ++g)
                                       sizes.push_back(free.grouped.group(g).size);
                                   return sizes;
                               })
        .def_property_readonly("strips", [](const FreeRows& free) { return free.grouped.strips(); })
        .def(
            "positions",
            [](const FreeRows& free, std::int64_t g) {
                require(0 <= g && g < free.grouped.n_groups(), "group: expected one of the counts");
                RowList positions;
                for (std::int64_t t = 0; t < free.grouped.strips().count(); ++t) {
                    const Range part = free.grouped.part(t, g);
                    for (std::int64_t i = part.first; i < part.last; ++i) positions.push_back(i);
                }
                return to_array(positions);
            },
            "group"_a);
    py::class_<Constraints>(m, "Constraints")
        .def(py::init(&checked_constraints), "n_rows"_a, "group"_a.noconvert(), "counts"_a,
             "include"_a, "strips"_a = py::none())
        .def(
            "free_rows",
            [](const Constraints& c, const std::optional<Strips>& given) {
                const Strips strips = strips_for(given, c.n_rows);
                const ReleasedGil released;
                return free_rows(c, strips);
            },
            "strips"_a = py::none());
    m.def(
        "project",
        [](Array<double> v, const FreeRows& free, double cap, int n_threads) {
            const GroupedRows& rows = free.grouped;
            const double* const in = vector_data(v, rows.n_rows(), "v: expected a free row each");
            threads(n_threads);
            Vector totals;
            for (std::int64_t g = 0; g < rows.n_groups(); ++g)
                totals.push_back(cap * static_cast<double>(rows.group(g).count));
            py::array_t<double> s(rows.n_rows());
            double* const out = s.mutable_data();
            const ReleasedGil released;
            project(in, rows, cap, totals, Vector(totals.size()), n_threads, out);
            return s;
        },
        "v"_a.noconvert(), "free"_a, "cap"_a, "n_threads"_a);
    m.def(
        "support",
        [](Array<double> g, const FreeRows& free, double cap, double slack, int n_threads) {
            const double* const in =
                vector_data(g, free.grouped.n_rows(), "g: expected a free row each");
            threads(n_threads);
            const ReleasedGil released;
            return support(in, free.grouped, cap, slack, n_threads);
        },
        "g"_a.noconvert(), "free"_a, "cap"_a, "slack"_a, "n_threads"_a);
}

}  // namespace skmm::bindings
