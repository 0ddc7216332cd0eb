// The members of Constraints, and the free rows.
#include "skmm/select/constraints.hpp"

#include <numeric>

#include "skmm/base/types.hpp"

namespace skmm {

i64 Constraints::n() const { return std::accumulate(counts.begin(), counts.end(), i64{0}); }

// This is a counting sort of the free rows by strip and group.
FreeRows free_rows(const Constraints& constraints, const Strips& strips) {
    const i64 n_groups = constraints.n_groups();
    std::vector<bool> included(at(constraints.n_rows));
    Vector sizes_here(at(2 * n_groups));  // of the free rows of each group; of those of include
    for (const i64 i : constraints.include) {
        included[at(i)] = true;
        ++sizes_here[at(n_groups + constraints.group_of(i))];
    }
    const auto group_of = [&](i64 i) {  // negative if row i is not free
        return included[at(i)] ? -1 : constraints.group_of(i);
    };
    RowList starts(at(strips.count() * n_groups)), bounds{0};
    for (i64 t = 0; t < strips.count(); ++t) {
        i64* const start = starts.data() + t * n_groups;
        for (i64 i = strips.strip(t).first; i < strips.strip(t).last; ++i)
            if (group_of(i) >= 0) ++start[group_of(i)];
        i64 next = bounds.back();
        for (i64 g = 0; g < n_groups; ++g) {
            const i64 size = start[g];
            sizes_here[at(g)] += static_cast<double>(size);
            start[g] = next;
            next += size;
        }
        bounds.push_back(next);
    }
    RowList rows(at(bounds.back())), next = starts;
    for (i64 t = 0; t < strips.count(); ++t)
        for (i64 i = strips.strip(t).first; i < strips.strip(t).last; ++i)
            if (group_of(i) >= 0) rows[at(next[at(t * n_groups + group_of(i))]++)] = i;

    const Vector sizes = strips.sum(sizes_here);
    std::vector<Group> groups;
    for (i64 g = 0; g < n_groups; ++g)
        groups.push_back({static_cast<i64>(sizes[at(g)]),
                          constraints.counts[at(g)] - static_cast<i64>(sizes[at(n_groups + g)])});
    return {std::move(rows),
            GroupedRows(strips.of_some(std::move(bounds)), std::move(groups), std::move(starts))};
}

}  // namespace skmm
