#include <algorithm>

#include "../support/check.hpp"
#include "../support/ranks.hpp"
#include "skmm/base/types.hpp"
#include "skmm/select/constraints.hpp"

using namespace skmm;

// Strip after strip, in each group after group: its rows in ascending order, without those of
// include, whose number is taken off the count.
static void check_free_rows(const Constraints& constraints) {
    constexpr i64 kStrip = 2048;
    const auto includes = [&](i64 i) {
        return std::count(constraints.include.begin(), constraints.include.end(), i) > 0;
    };
    const FreeRows free = free_rows(constraints);
    RowList rows;
    std::vector<Group> groups;
    for (const i64 count : constraints.counts) groups.push_back({0, count});
    for (i64 strip = 0; strip * kStrip < constraints.n_rows; ++strip) {
        CHECK(free.grouped.strips().strip(strip).first == static_cast<i64>(rows.size()));
        for (i64 g = 0; g < constraints.n_groups(); ++g) {
            const Range part = free.grouped.part(strip, g);
            CHECK(part.first == static_cast<i64>(rows.size()));
            const i64 last = std::min((strip + 1) * kStrip, constraints.n_rows);
            for (i64 i = strip * kStrip; i < last; ++i) {
                if (constraints.group_of(i) != g) continue;
                if (includes(i)) {
                    --groups[g].count;
                } else {
                    rows.push_back(i);
                    ++groups[g].size;
                }
            }
            CHECK(part.last == static_cast<i64>(rows.size()));
        }
    }
    CHECK(free.rows == rows);
    CHECK(free.grouped.n_rows() == static_cast<i64>(rows.size()));
    for (i64 g = 0; g < constraints.n_groups(); ++g) {
        CHECK(free.grouped.group(g).size == groups[g].size);
        CHECK(free.grouped.group(g).count == groups[g].count);
    }
}

static std::vector<std::int32_t> scattered_groups(i64 n_rows) {
    std::vector<std::int32_t> group(n_rows);
    for (i64 i = 0; i < n_rows; ++i) group[i] = static_cast<std::int32_t>(i * 7 % 5) - 1;
    return group;
}

TEST(free_rows_equal_a_loop_over_groups) {
    const std::vector<std::int32_t> group = scattered_groups(100);
    check_free_rows({100, group, {3, 4, 0, 20}, {}});
    check_free_rows({100, group, {3, 4, 1, 20}, {99, 8, 3, 4, 1}});
    check_free_rows({100, group, {3, 4, 0, 20, 0}, {}});  // the last group has no rows
    check_free_rows({5000, scattered_groups(5000), {3, 4, 5, 20}, {4901, 1023, 1024, 9}});
}

TEST(free_rows_of_one_group_need_no_list_of_groups) {
    check_free_rows({50, {}, {10}, {}});
    check_free_rows({50, {}, {10}, {49, 0, 7}});
    check_free_rows({50, std::vector<std::int32_t>(50, 0), {10}, {49, 0, 7}});
    CHECK(free_rows({50, {}, {10}, {49, 0, 7}}).grouped.group(0).count == 7);
}

TEST(free_rows_are_none_where_every_row_is_excluded_or_included) {
    check_free_rows({4, std::vector<std::int32_t>(4, -1), {0}, {}});
    check_free_rows({4, {}, {4}, {0, 1, 2, 3}});
}

TEST(constraints_know_their_groups) {
    const std::vector<std::int32_t> group = scattered_groups(100);
    const Constraints constraints{100, group, {3, 4, 0, 20}, {8}};
    CHECK(constraints.n() == 27 && constraints.n_groups() == 4);
    for (i64 i = 0; i < 100; ++i) CHECK(constraints.group_of(i) == group[i]);
    CHECK((Constraints{100, {}, {5}, {}}.group_of(99) == 0));
}

// Each rank lists the rows that it has; sizes and counts are those of all ranks.
TEST(free_rows_on_ranks_are_those_of_one_process) {
    const i64 n_rows = 5000;
    const std::vector<std::int32_t> group = scattered_groups(n_rows);
    const RowList include{3, 1023, 1024, 4901};
    const FreeRows expected = free_rows({n_rows, group, {30, 4, 1, 20}, include});
    for (const i64 size : {2, 3}) {
        std::vector<RowList> found(size);
        check::on_ranks(size, [&](const Ranks& ranks) {
            const auto [first, last] = rows_of_rank(n_rows, size, ranks.rank);
            Constraints here{
                last - first, {group.begin() + first, group.begin() + last}, {30, 4, 1, 20}, {}};
            for (const i64 i : include)
                if (first <= i && i < last) here.include.push_back(i - first);
            const FreeRows free = free_rows(here, Strips(n_rows, ranks));
            for (const i64 i : free.rows) found[ranks.rank].push_back(i + first);
            for (i64 g = 0; g < 4; ++g) {
                CHECK(free.grouped.group(g).size == expected.grouped.group(g).size);
                CHECK(free.grouped.group(g).count == expected.grouped.group(g).count);
            }
        });
        RowList all;
        for (const RowList& rows : found) all.insert(all.end(), rows.begin(), rows.end());
        CHECK(all == expected.rows);
    }
}
