// Binding of the constraints on a selection.
#include "skmm/select/constraints.hpp"

#include <optional>

#include "arrays.hpp"
#include "constraints.hpp"
#include "gil.hpp"

namespace skmm::bindings {
namespace {

// Returns constraints whose indices are safe for the core and that some selection satisfies. Raises
// ValueError for others.
Constraints checked_constraints(std::int64_t n_rows, std::optional<Array<std::int32_t>> group,
                                std::vector<std::int64_t> counts, RowList include) {
    require(n_rows >= 0, "n_rows: expected at least 0");
    Constraints c{n_rows, {}, std::move(counts), std::move(include)};
    require(group || c.n_groups() == 1, "group: expected (N,) where there is more than one count");
    std::vector<std::int64_t> size(c.counts.size());
    if (group) {
        const std::int32_t* const g = vector_data(*group, n_rows, "group: expected (N,)");
        c.group.assign(g, g + n_rows);
        for (const std::int32_t i : c.group) {
            require(i < c.n_groups(), "group: expected less than the number of counts");
            if (i >= 0) ++size[static_cast<std::size_t>(i)];
        }
    } else {
        size[0] = n_rows;
    }
    for (std::size_t k = 0; k < size.size(); ++k)
        require(0 <= c.counts[k] && c.counts[k] <= size[k],
                "counts: expected no more than the rows of each group");
    require(c.n() >= 1, "counts: expected at least one row");
    std::vector<bool> included(static_cast<std::size_t>(n_rows));
    std::vector<std::int64_t> left = c.counts;
    for (const std::int64_t i : c.include) {
        require(0 <= i && i < n_rows && c.group_of(i) >= 0 &&
                    !included[static_cast<std::size_t>(i)] &&
                    left[static_cast<std::size_t>(c.group_of(i))] > 0,
                "include: expected distinct rows within the counts");
        included[static_cast<std::size_t>(i)] = true;
        --left[static_cast<std::size_t>(c.group_of(i))];
    }
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
        .def_property_readonly("groups", [](const FreeRows& free) {
            std::vector<std::array<std::int64_t, 3>> groups;
            for (const Group& g : free.groups) groups.push_back({g.first, g.last, g.count});
            return groups;
        });
    py::class_<Constraints>(m, "Constraints")
        .def(py::init(&checked_constraints), "n_rows"_a, "group"_a.noconvert(), "counts"_a,
             "include"_a)
        .def("free_rows", [](const Constraints& c) {
            const ReleasedGil released;
            return free_rows(c);
        });
}

}  // namespace skmm::bindings
