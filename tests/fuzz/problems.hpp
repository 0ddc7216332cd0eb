// Problems that two of the fuzzers share: constraints that some selection satisfies, and checks of
// selections.
#pragma once

#include <algorithm>
#include <vector>

#include "input.hpp"
#include "skmm/select/constraints.hpp"

namespace skmm::fuzz {

// Constraints for n_rows rows that some selection of at least one row satisfies, with at most
// `most` rows of a group. The first row is never excluded.
inline Constraints constraints(Input& in, i64 n_rows, i64 most) {
    Constraints c{n_rows, {}, {}, {}};
    const i64 groups = in.integer(1, std::min<i64>(n_rows, 6));
    std::vector<i64> size(at(groups));
    if (groups > 1 || in.coin()) {
        const u64 seed = in.seed();
        const i64 excluded = in.integer(0, 3);  // of 8 rows, about
        for (i64 i = 0; i < n_rows; ++i) {
            const Words x = philox(seed, kSubset, static_cast<u64>(i));
            const bool out = i > 0 && static_cast<i64>(x.w[0] % 8) < excluded;
            c.group.push_back(out ? -1 - static_cast<std::int32_t>(x.w[1] % 3)
                                  : static_cast<std::int32_t>(x.w[1] % static_cast<u32>(groups)));
            if (!out) ++size[at(c.group.back())];
        }
    } else {
        size[0] = n_rows;
    }
    for (const i64 s : size)
        c.counts.push_back(in.one_in(5) ? std::min(s, most) : in.integer(0, std::min(s, most)));
    if (c.n() == 0) c.counts[at(std::max_element(size.begin(), size.end()) - size.begin())] = 1;
    std::vector<i64> left = c.counts;
    for (i64 k = in.one_in(3) ? in.integer(1, 5) : 0; k > 0; --k) {
        const i64 i = in.integer(0, n_rows - 1);
        const bool again = std::count(c.include.begin(), c.include.end(), i) > 0;
        if (again || c.group_of(i) < 0 || left[at(c.group_of(i))] == 0) continue;
        --left[at(c.group_of(i))];
        c.include.push_back(i);
    }
    return c;
}

// The rows of a group that a selection may contain, included ones too.
inline RowList rows_of_group(const Constraints& c, i64 group) {
    RowList rows;
    for (i64 i = 0; i < c.n_rows; ++i)
        if (c.group_of(i) == group) rows.push_back(i);
    return rows;
}

// Checks that the rows are distinct, may be chosen, hold `include`, and are no more than the counts
// of each group; exactly as many if `complete`.
inline void check_selection(const Constraints& c, RowList rows, bool complete) {
    std::sort(rows.begin(), rows.end());
    check(std::adjacent_find(rows.begin(), rows.end()) == rows.end(), "distinct rows");
    std::vector<i64> left = c.counts;
    for (const i64 i : rows) {
        check(0 <= i && i < c.n_rows && c.group_of(i) >= 0, "no excluded row is chosen");
        check(--left[at(c.group_of(i))] >= 0, "no more rows than the counts");
    }
    for (const i64 i : c.include)
        check(std::binary_search(rows.begin(), rows.end(), i), "included rows are chosen");
    if (complete) check(static_cast<i64>(rows.size()) == c.n(), "exactly n rows");
}

}  // namespace skmm::fuzz
