// The members of Constraints, and the free rows.
#include "skmm/select/constraints.hpp"

#include <numeric>

#include "skmm/base/types.hpp"

namespace skmm {

i64 Constraints::n() const { return std::accumulate(counts.begin(), counts.end(), i64{0}); }

// This is a counting sort of the free rows by group.
FreeRows free_rows(const Constraints& constraints) {
    std::vector<bool> included(at(constraints.n_rows));
    FreeRows free;
    for (const i64 count : constraints.counts) free.groups.push_back({0, 0, count});
    for (const i64 i : constraints.include) {
        included[at(i)] = true;
        --free.groups[at(constraints.group_of(i))].count;
    }
    const auto group_of = [&](i64 i) {  // negative if row i is not free
        return included[at(i)] ? -1 : constraints.group_of(i);
    };
    for (i64 i = 0; i < constraints.n_rows; ++i)
        if (group_of(i) >= 0) ++free.groups[at(group_of(i))].last;
    i64 first = 0;
    for (Group& group : free.groups) {
        const i64 size = group.last;
        group.first = group.last = first;
        first += size;
    }
    free.rows.resize(at(first));
    for (i64 i = 0; i < constraints.n_rows; ++i)
        if (group_of(i) >= 0) free.rows[at(free.groups[at(group_of(i))].last++)] = i;
    return free;
}

}  // namespace skmm
