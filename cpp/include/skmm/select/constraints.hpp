// Which rows may be chosen, and how many of each group of them.
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/linalg/simplex.hpp"

namespace skmm {

using RowList = std::vector<std::int64_t>;  // row numbers

// A selection has counts[g] rows of each group g, those of `include` among them.
struct Constraints {
    std::int64_t n_rows;              // N
    std::vector<std::int32_t> group;  // (N), below 0: never chosen; empty: all rows are of group 0
    std::vector<std::int64_t> counts;
    RowList include;  // always chosen, and never exchanged

    std::int64_t n_groups() const { return static_cast<std::int64_t>(counts.size()); }
    std::int32_t group_of(std::int64_t i) const {
        return group.empty() ? 0 : group[static_cast<std::size_t>(i)];
    }
    // Rows of a selection.
    std::int64_t n() const;
};

// The rows that a selection may have or not: they are neither excluded nor of `include`.
struct FreeRows {
    RowList rows;   // group after group, ascending in each
    Groups groups;  // positions in `rows` of the rows of a group, and how many of them are chosen
};
FreeRows free_rows(const Constraints& constraints);

}  // namespace skmm
