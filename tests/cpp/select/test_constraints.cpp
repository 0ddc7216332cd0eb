#include <algorithm>

#include "../support/check.hpp"
#include "skmm/base/types.hpp"
#include "skmm/select/constraints.hpp"

using namespace skmm;

// Group after group: its rows in ascending order, without those of include, whose number is taken
// off the count.
static void check_free_rows(const Constraints& constraints) {
    const auto includes = [&](i64 i) {
        return std::count(constraints.include.begin(), constraints.include.end(), i) > 0;
    };
    RowList rows;
    Groups groups;
    for (i64 g = 0; g < constraints.n_groups(); ++g) {
        Group group{static_cast<i64>(rows.size()), 0, constraints.counts[g]};
        for (i64 i = 0; i < constraints.n_rows; ++i) {
            if (constraints.group_of(i) != g) continue;
            if (includes(i))
                --group.count;
            else
                rows.push_back(i);
        }
        group.last = static_cast<i64>(rows.size());
        groups.push_back(group);
    }
    const FreeRows free = free_rows(constraints);
    CHECK(free.rows == rows);
    CHECK(free.groups.size() == groups.size());
    for (std::size_t g = 0; g < groups.size(); ++g) {
        CHECK(free.groups[g].first == groups[g].first);
        CHECK(free.groups[g].last == groups[g].last);
        CHECK(free.groups[g].count == groups[g].count);
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
}

TEST(free_rows_of_one_group_need_no_list_of_groups) {
    check_free_rows({50, {}, {10}, {}});
    check_free_rows({50, {}, {10}, {49, 0, 7}});
    check_free_rows({50, std::vector<std::int32_t>(50, 0), {10}, {49, 0, 7}});
    CHECK(free_rows({50, {}, {10}, {49, 0, 7}}).groups[0].count == 7);
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
