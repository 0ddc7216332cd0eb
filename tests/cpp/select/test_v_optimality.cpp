#include <algorithm>
#include <set>
#include <stdexcept>

#include "../support/check.hpp"
#include "../support/halves.hpp"
#include "../support/ranks.hpp"
#include "../support/shared.hpp"
#include "skmm/select/v_optimality.hpp"

using namespace skmm;
using check::elsewhere;
using check::Identity;
using check::kQuiet;
using check::normals;
using check::trace_inverse;

static DesignOptions greedy(i64 block, bool refine) {
    return {block, Sampler::kGreedy, 0.1, 1.0, refine, 0.0, 0.0, 0};
}

TEST(greedy_design_equals_brute_force) {
    const i64 n_rows = 60, k = 5, n = 12;
    const std::vector<double> w = normals<double>(n_rows * k);
    const std::vector<std::int32_t> group(n_rows, 0);
    const Identity identity(k);
    const Design design =
        v_optimal(identity.of(w), greedy(1, false), {n_rows, group, {n}, {}}, {}, 2, kQuiet);
    std::set<i64> chosen;
    for (const i64 row : design.rows) {
        i64 best = -1;
        double least = 0.0;
        for (i64 i = 0; i < n_rows; ++i) {
            if (chosen.count(i)) continue;
            std::set<i64> with = chosen;
            with.insert(i);
            const double trace = trace_inverse(w, k, with, 1.0);
            if (best < 0 || trace < least) {
                best = i;
                least = trace;
            }
        }
        CHECK(row == best);
        chosen.insert(row);
    }
    CHECK(static_cast<i64>(chosen.size()) == n);

    // One group need not be listed, and W = Z B need not be Z.
    const Design unlisted =
        v_optimal(identity.of(w), greedy(1, false), {n_rows, {}, {n}, {}}, {}, 2, kQuiet);
    CHECK(unlisted.rows == design.rows);
    Identity doubled(k);
    std::vector<double> half = w;
    for (double& x : doubled.b) x *= 2.0;
    for (double& x : half) x /= 2.0;
    const Design same =
        v_optimal(doubled.of(half), greedy(1, false), {n_rows, {}, {n}, {}}, {}, 2, kQuiet);
    CHECK(same.rows == design.rows);
}

TEST(exchange_improves_and_keeps_quotas) {
    const i64 n_rows = 300, k = 6;
    const std::vector<double> w = normals<double>(n_rows * k, 4);
    std::vector<std::int32_t> group(n_rows);
    for (i64 i = 0; i < n_rows; ++i)
        group[i] = static_cast<std::int32_t>(i % 4) - 1;  // -1: never chosen
    const Constraints constraints{n_rows, group, {5, 10, 15}, {1, 2}};
    const Identity identity(k);
    double before = 0.0;
    for (const bool refine : {false, true}) {
        const Design design =
            v_optimal(identity.of(w), greedy(3, refine), constraints, {}, 1, kQuiet);
        const std::set<i64> rows(design.rows.begin(), design.rows.end());
        i64 counts[3] = {};
        for (const i64 i : rows) {
            CHECK(group[i] >= 0);
            ++counts[group[i]];
        }
        CHECK(counts[0] == 5 && counts[1] == 10 && counts[2] == 15);
        CHECK(rows.count(1) && rows.count(2));
        const double trace = trace_inverse(w, k, rows, 0.0);
        CHECK(!refine || (design.swaps > 0 && trace < before));
        before = trace;
    }
}

// A swap is worth it from a millionth of the loss on.
TEST(after_exchanges_no_swap_helps) {
    const i64 n_rows = 60, k = 4, n = 9;
    const std::vector<double> w = normals<double>(n_rows * k, 5);
    const Identity identity(k);
    const Design design =
        v_optimal(identity.of(w), greedy(n, true), {n_rows, {}, {n}, {7}}, {11}, 2, kQuiet);
    const std::set<i64> rows(design.rows.begin(), design.rows.end());
    CHECK(static_cast<i64>(rows.size()) == n && rows.count(7) == 1);
    const double trace = trace_inverse(w, k, rows, 0.0);
    for (const i64 out : rows) {
        if (out == 7) continue;
        for (i64 in = 0; in < n_rows; ++in) {
            if (rows.count(in)) continue;
            std::set<i64> other = rows;
            other.erase(out);
            other.insert(in);
            CHECK(trace_inverse(w, k, other, 0.0) > trace * (1.0 - 1e-5));
        }
    }
}

// More rows leave than are tried together.
TEST(after_exchanges_of_many_rows_no_swap_helps) {
    const i64 n_rows = 400, k = 3, n = 170;
    const std::vector<double> w = normals<double>(n_rows * k, 6);
    const Identity identity(k);
    const Design design =
        v_optimal(identity.of(w), greedy(n, true), {n_rows, {}, {n}, {}}, {}, 2, kQuiet);
    std::set<i64> rows(design.rows.begin(), design.rows.end());
    CHECK(static_cast<i64>(rows.size()) == n);
    const double trace = trace_inverse(w, k, rows, 0.0);
    double least = trace;
    for (const i64 out : design.rows) {
        rows.erase(out);
        for (i64 in = 0; in < n_rows; ++in) {
            if (!rows.insert(in).second) continue;
            least = std::min(least, trace_inverse(w, k, rows, 0.0));
            rows.erase(in);
        }
        rows.insert(out);
    }
    CHECK(least > trace * (1.0 - 1e-5));
}

TEST(exchanges_end_where_the_rows_do_not_span) {
    // Any choice of one row leaves M singular but for the ridge, and the choices differ in tr C by
    // no more than its rounding.
    const std::vector<double> of = normals<double>(400);
    const Identity identity(4);
    DesignOptions options = greedy(1, true);
    options.ridge = 1e-6;
    for (std::size_t t = 0; t < of.size(); t += 2) {
        std::vector<double> w(12);
        w[4] = of[t];
        w[10] = of[t + 1];
        i64 ticks = 0;
        const Tick counted = [&](i64) {
            if (++ticks > 10'000) throw std::runtime_error("endless exchanges");
        };
        const Design design = v_optimal(identity.of(w), options, {3, {}, {1}, {}}, {}, 1, counted);
        CHECK(design.rows.size() == 1 && design.rows[0] > 0);
    }
}

TEST(v_optimal_needs_nothing_but_passes) {
    const i64 n_rows = 3000, k = 9, n = 40;
    const std::vector<float> z = normals<float>(n_rows * k, 8);
    const MatrixView<float> rows{z.data(), n_rows, k, k};
    const Identity identity(k);
    const std::vector<std::int32_t> group(n_rows, 0);
    for (const i64 block : {1, 16}) {
        const Constraints constraints{n_rows, group, {n}, {7}};
        const auto design = [&](const RowMatrix<float>& from, int threads) {
            return v_optimal(Whitened<float>{from, identity.view()}, greedy(block, true),
                             constraints, {11}, threads, kQuiet);
        };
        const Design near = design(row_matrix(rows, 2), 2), far = design(elsewhere(rows), 2);
        CHECK(near.rows == far.rows && near.swaps == far.swaps);
        const Design one = design(row_matrix(rows, 1), 1);
        CHECK(near.rows == one.rows && near.swaps == one.swaps);
    }
}

TEST(v_optimal_rows_of_halves_are_those_of_the_same_floats) {
    const check::HalfMatrix z(3000, 9, true);
    const Identity identity(z.k);
    for (const i64 block : {1, 16}) {
        const auto design = [&](auto rows) {
            return v_optimal(Whitened<float>{row_matrix(rows, 2), identity.view()},
                             greedy(block, true), {z.n, {}, {40}, {7}}, {11}, 2, kQuiet);
        };
        const Design of_halves = design(z.view()), of_floats = design(z.wide_view());
        CHECK(of_halves.rows == of_floats.rows && of_halves.swaps == of_floats.swaps);
    }
}

TEST(random_designs_keep_to_the_constraints_and_the_seed) {
    const i64 n_rows = 400, k = 5;
    const std::vector<double> w = normals<double>(n_rows * k, 6);
    std::vector<std::int32_t> group(n_rows);
    for (i64 i = 0; i < n_rows; ++i) group[i] = static_cast<std::int32_t>(i % 3) - 1;
    const Constraints constraints{n_rows, group, {6, 14}, {2, 4}};
    const Identity identity(k);
    for (const Sampler sampler : {Sampler::kLinear, Sampler::kExp}) {
        const auto design = [&](std::uint64_t seed) {
            const DesignOptions options{4, sampler, 0.1, 1.0, false, 0.0, 0.0, seed};
            return v_optimal(identity.of(w), options, constraints, {5}, 2, kQuiet).rows;
        };
        const RowList rows = design(1);
        const std::set<i64> distinct(rows.begin(), rows.end());
        i64 counts[2] = {};
        for (const i64 i : distinct) {
            CHECK(group[i] >= 0);
            ++counts[group[i]];
        }
        CHECK(rows.size() == 20 && counts[0] == 6 && counts[1] == 14);
        CHECK(rows[0] == 2 && rows[1] == 4 && rows[2] == 5);
        CHECK(design(1) == rows && design(2) != rows);
    }
}

// Rows in groups, one of them excluded, on 1 to 4 ranks; from no rows, and from a start.
TEST(v_optimal_on_ranks_chooses_the_rows_of_one_process) {
    const i64 n_rows = 5000, k = 5;
    const std::vector<double> w = normals<double>(n_rows * k, 6);
    std::vector<std::int32_t> group(n_rows);
    for (i64 i = 0; i < n_rows; ++i) group[i] = static_cast<std::int32_t>(i * 7 % 4) - 1;
    const std::vector<i64> counts{8, 12, 5};
    const RowList include{1, 2, 4001};
    RowList start;  // a few of each group
    for (i64 i = 900; start.size() < 9; i += 301)
        if (group[i] >= 0) start.push_back(i);
    const Identity identity(k);
    for (const i64 block : {1, 6})
        for (const bool from_start : {false, true}) {
            const RowList& given = from_start ? start : RowList{};
            const Constraints all{n_rows, group, counts, include};
            const Design expected =
                v_optimal(identity.of(w), greedy(block, true), all, given, 1, kQuiet);
            CHECK(expected.swaps > 0 && expected.rows.size() == 25);
            for (const i64 size : {2, 3, 4})
                check::on_ranks(size, [&](const Ranks& ranks) {
                    const auto [first, last] = rows_of_rank(n_rows, size, ranks.rank);
                    Constraints here{
                        last - first, {group.begin() + first, group.begin() + last}, counts, {}};
                    for (const i64 i : include)
                        if (first <= i && i < last) here.include.push_back(i - first);
                    const std::vector<double> mine(w.begin() + first * k, w.begin() + last * k);
                    const Design design = v_optimal(identity.of(mine), greedy(block, true), here,
                                                    Strips(n_rows, ranks), given, 1, kQuiet);
                    CHECK(design.rows == expected.rows && design.swaps == expected.swaps);
                });
        }
}
