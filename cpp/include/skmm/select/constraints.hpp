// Constraints on a selection: which rows may be chosen, which must be, and how many of each group.
#pragma once

#include <cstdint>
#include <vector>

#include "skmm/linalg/grouped_rows.hpp"

namespace skmm {

using RowList = std::vector<std::int64_t>;  // row numbers

// A selection has exactly counts[g] rows of each group g. The rows of `include` are among them.
// Requires that there is such a selection, of at least one row, and that no row is twice in
// `include`.
struct Constraints {
    std::int64_t n_rows;              // N
    std::vector<std::int32_t> group;  // (N) group of a row, or < 0 if it is never chosen; if empty,
                                      // all rows belong to group 0, the only one
    std::vector<std::int64_t> counts;  // (n_groups) rows to choose from each group
    RowList include;                   // rows that are always chosen and never exchanged

    std::int64_t n_groups() const { return static_cast<std::int64_t>(counts.size()); }
    std::int32_t group_of(std::int64_t i) const {
        return group.empty() ? 0 : group[static_cast<std::size_t>(i)];
    }
    // The number of rows of a selection, Σ counts.
    std::int64_t n() const;
};

// The rows that a selection may or may not contain: those that are neither excluded (group < 0) nor
// in `include`.
struct FreeRows {
    RowList rows;         // in the order of `grouped`: by strip, by group, ascending
    GroupedRows grouped;  // counts are those of rows to choose beside `include`
};

// The free rows of constraints on the rows here, which lie in these strips. Counts are for all
// ranks, `include` has the rows that are here.
FreeRows free_rows(const Constraints& constraints, const Strips& strips);
inline FreeRows free_rows(const Constraints& constraints) {
    return free_rows(constraints, Strips(constraints.n_rows));
}

}  // namespace skmm
