#include <algorithm>
#include <cmath>
#include <numeric>

#include "../support/check.hpp"
#include "../support/ranks.hpp"
#include "../support/shared.hpp"
#include "skmm/select/constraints.hpp"
#include "skmm/select/moment_matching.hpp"

using namespace skmm;
using check::elsewhere;
using check::kGoOn;
using check::kQuiet;
using check::normals;

TEST(moment_matching_falls_and_its_gap_holds) {
    const i64 n_rows = 5000, k = 13, n = 100;
    const std::vector<float> y = normals<float>(n_rows * k);
    const std::vector<double> weight(k, 1.0);
    for (const double c_s : {0.5, 0.2}) {  // the second cannot be reached
        std::vector<double> target(k);
        for (std::size_t e = 0; e < y.size(); ++e)
            target[e % k] += static_cast<double>(y[e]) * y[e] / n_rows / c_s;
        const MatrixView<float> rows{y.data(), n_rows, k, k};
        const auto solve = [&](int n_threads) {
            const MomentProblem<float> problem{row_matrix(rows, n_threads), target.data(),
                                               weight.data(), 1.0 / n, GroupedRows(n_rows, n)};
            return match_moments(problem, Vector(n_rows, 1.0 / n_rows), 1e-8, 2000, n_threads,
                                 kQuiet, kGoOn);
        };
        const MomentFit fit = solve(1), same = solve(3);
        CHECK(fit.converged && fit.gap >= 0.0 && fit.gap <= 1e-8 * fit.start);
        CHECK((fit.objective > fit.gap) == (c_s == 0.2));
        CHECK(std::is_sorted(fit.objectives.rbegin(), fit.objectives.rend()));
        CHECK(fit.s == same.s && fit.objectives == same.objectives);
        CHECK(std::abs(std::accumulate(fit.s.begin(), fit.s.end(), 0.0) - 1.0) < 1e-9);
    }
}

// Two groups, targets and weights of their own for each direction.
struct TwoGroups {
    static constexpr i64 kRows = 3000, kCols = 7, kCut = 600;
    static constexpr i64 kCounts[] = {30, 70};
    static constexpr double kCap = 0.01;

    MomentProblem<double> problem() const {
        return {row_matrix(MatrixView<double>{y.data(), kRows, kCols, kCols}, 2), target.data(),
                weight.data(), kCap,
                GroupedRows(Strips(kRows), {{kCut, kCounts[0]}, {kRows - kCut, kCounts[1]}},
                            {0, kCut, 2048, 2048})};
    }
    Vector start() const {
        Vector s(kRows, kCap * kCounts[1] / (kRows - kCut));
        std::fill_n(s.begin(), kCut, kCap * kCounts[0] / kCut);
        return s;
    }
    Vector moments(const Vector& s) const {
        Vector p(kCols);
        for (std::size_t e = 0; e < y.size(); ++e) p[e % kCols] += s[e / kCols] * y[e] * y[e];
        return p;
    }
    double value(const Vector& s) const {
        const Vector p = moments(s);
        double sum = 0.0;
        for (i64 j = 0; j < kCols; ++j) {
            const double missing = std::max(target[j] - p[j], 0.0);
            sum += weight[j] * missing * missing;
        }
        return sum;
    }

    std::vector<double> y = normals<double>(kRows * kCols, 2);
    std::vector<double> target{1.5, 2.0, 3.0, 4.0, 5.0, 0.5, 3.5};
    std::vector<double> weight{1.0, 2.0, 0.5, 1.0, 1.0, 3.0, 1.0};
};

TEST(moment_matching_tells_the_truth_about_a_feasible_point) {
    const TwoGroups given;
    const MomentFit fit =
        match_moments(given.problem(), given.start(), 1e-6, 1000, 2, kQuiet, kGoOn);
    CHECK(fit.converged);
    for (const double x : fit.s) CHECK(x >= 0.0 && x <= TwoGroups::kCap);
    const auto cut = fit.s.begin() + TwoGroups::kCut;
    CHECK(std::abs(std::accumulate(fit.s.begin(), cut, 0.0) - 0.3) < 1e-9);
    CHECK(std::abs(std::accumulate(cut, fit.s.end(), 0.0) - 0.7) < 1e-9);
    CHECK(std::abs(given.value(given.start()) - fit.start) < 1e-9 * fit.start);
    CHECK(std::abs(given.value(fit.s) - fit.objective) < 1e-9 * fit.start);
    const Vector moments = given.moments(fit.s);
    for (std::size_t j = 0; j < moments.size(); ++j)
        CHECK(std::abs(moments[j] - fit.moments[j]) < 1e-9 * moments[j]);
}

// φ is convex: with its slopes ∂φ/∂s_i = -2 Σ_j w_j [t_j - p_j]₊ y_ij², no feasible point is lower
// than φ(s) + min ⟨∂φ, x - s⟩.
TEST(the_gap_of_moment_matching_agrees_with_that_of_the_slopes) {
    const TwoGroups given;
    const MomentFit fit =
        match_moments(given.problem(), given.start(), 1e-10, 1000, 2, kQuiet, kGoOn);
    Vector slope(TwoGroups::kRows);
    for (std::size_t e = 0; e < given.y.size(); ++e) {
        const std::size_t j = e % TwoGroups::kCols;
        slope[e / TwoGroups::kCols] -= 2.0 * given.weight[j] * given.y[e] * given.y[e] *
                                       std::max(given.target[j] - fit.moments[j], 0.0);
    }
    double gap = std::inner_product(slope.begin(), slope.end(), fit.s.begin(), 0.0);
    std::sort(slope.begin(), slope.begin() + TwoGroups::kCut);
    std::sort(slope.begin() + TwoGroups::kCut, slope.end());
    for (const i64 first : {i64{0}, TwoGroups::kCut})
        for (i64 t = 0; t < TwoGroups::kCounts[first > 0]; ++t)
            gap -= TwoGroups::kCap * slope[first + t];
    CHECK(fit.objective > 1e-3 * fit.start);  // the targets cannot be reached
    CHECK(gap >= -1e-9 * fit.start && gap <= 1e-4 * fit.start);
}

TEST(moment_matching_stops_when_told_to) {
    const TwoGroups given;
    const MomentFit none = match_moments(given.problem(), given.start(), 0.0, 0, 2, kQuiet, kGoOn);
    CHECK(none.s == given.start() && none.objectives.empty() && !none.converged);
    const Watch stop = [](i64 iteration, double, double) { return iteration < 3; };
    const MomentFit three = match_moments(given.problem(), given.start(), 0.0, 99, 2, kQuiet, stop);
    CHECK(three.objectives.size() == 3 && three.gaps.size() == 3 && three.seconds.size() == 3);
    CHECK(three.objective == three.objectives.back() && three.objective < three.start);
}

TEST(moment_matching_needs_nothing_but_passes) {
    const i64 n_rows = 3000, k = 9, n = 40;
    const std::vector<float> z = normals<float>(n_rows * k, 8);
    const MatrixView<float> rows{z.data(), n_rows, k, k};
    const std::vector<double> target(k, 3.0), weight(k, 1.0);
    Vector found[2];
    for (const bool near : {true, false}) {
        const MomentProblem<float> problem{near ? row_matrix(rows, 2) : elsewhere(rows),
                                           target.data(), weight.data(), 1.0 / n,
                                           GroupedRows(n_rows, n)};
        const MomentFit fit =
            match_moments(problem, Vector(n_rows, 1.0 / n_rows), 1e-6, 500, 2, kQuiet, kGoOn);
        CHECK(fit.converged);
        found[near] = fit.s;
    }
    CHECK(found[true] == found[false]);
}

// Rows in three groups, on 1 to 4 ranks, each of which has the free rows of its own strips.
TEST(moment_matching_on_ranks_has_the_bits_of_one_process) {
    const i64 n_rows = 9000, k = 6;
    const std::vector<i64> counts{30, 50, 20};
    const std::vector<float> z = normals<float>(n_rows * k, 3);
    std::vector<std::int32_t> group(n_rows);
    for (i64 i = 0; i < n_rows; ++i) group[i] = static_cast<std::int32_t>(i * i % 4) - (i % 7 == 0);
    const std::vector<double> target{1.5, 2.5, 3.0, 4.0, 1.0, 0.5}, weight(k, 1.0);
    const double cap = 0.01;
    MomentFit expected;
    std::int64_t sent_least = 0;
    for (const i64 size : {1, 2, 3, 4}) {
        std::vector<MomentFit> fits(size);
        std::vector<RowList> rows(size);
        const auto run = [&](const Ranks& ranks) {
            const auto [first, last] = rows_of_rank(n_rows, size, ranks.rank);
            const Constraints here{
                last - first, {group.begin() + first, group.begin() + last}, counts, {}};
            FreeRows free = free_rows(here, Strips(n_rows, ranks));
            std::vector<float> y;
            Vector start;
            for (std::size_t t = 0; t < free.rows.size(); ++t) {
                const i64 i = first + free.rows[t];
                y.insert(y.end(), z.begin() + i * k, z.begin() + (i + 1) * k);
                const Group of = free.grouped.group(group[i]);
                start.push_back(cap * static_cast<double>(of.count) / static_cast<double>(of.size));
            }
            const MatrixView<float> view{y.data(), static_cast<i64>(free.rows.size()), k, k};
            const MomentProblem<float> problem{row_matrix(view, 1, free.grouped.strips()),
                                               target.data(), weight.data(), cap, free.grouped};
            fits[ranks.rank] = match_moments(problem, start, 1e-8, 200, 1, kQuiet, kGoOn);
        };
        if (size == 1) {
            run({});
            expected = fits[0];
            CHECK(expected.converged && expected.passes > 4);
            continue;
        }
        const std::vector<i64> sent = check::on_ranks(size, run);
        Vector s;
        for (const MomentFit& fit : fits) {
            CHECK(fit.objectives == expected.objectives && fit.gaps == expected.gaps);
            CHECK(fit.moments == expected.moments && fit.passes == expected.passes);
            s.insert(s.end(), fit.s.begin(), fit.s.end());
        }
        CHECK(s == expected.s);
        sent_least = sent[0];
    }
    CHECK(sent_least > 0);
}
